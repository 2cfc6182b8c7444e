"""What the scripts share: reading options, and the cache of compiled programs."""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn, TypeVar

import jax
import tyro

from maskrcnn_jax.cli_help import (
    Section,
    completions,
    find_section,
    sections_of,
    table,
    tyro_options,
)
from maskrcnn_jax.errors import InputError

Arguments = TypeVar("Arguments")

# Help about this is the bare names of options or presets, for the completion of shells.
NAMES = "names"
_HELP = ("-h", "--help")
_MARKERS = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)
_FOOTER = (
    "--help SECTION (such as --help model.backbone) tells about the options of a section,\n"
    "--help all about all. --debug shows the traceback of an error."
)


def parse(
    kind: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str,
    description: str | None,
    default: Arguments,
) -> Arguments:
    """Reads ``--section.field value`` options; a misspelt one ends the program with status 2.

    ``--help`` ends it with one screen of help, ``--help SECTION`` with another; see ``cli_help``.
    """
    ask = partial(tyro.cli, prog=prog, config=_MARKERS)
    topic = help_topic(argv)
    if topic is not None and topic != "all":
        _tell(topic, sections_of(default), ask, description=description)
        sys.exit()
    args = argv if topic is None else ["--help"]
    return ask(kind, args=args, default=default, description=description)


def _tell(
    topic: str, section: Section, ask: Callable[..., Any], *, description: str | None
) -> None:
    """Prints what is asked for; ``ask`` is tyro."""
    if topic == NAMES:
        print("\n".join(completions(section)))
        return
    if topic:
        section, description = find_section(section, topic), f"The options of {topic}."
    with contextlib.suppress(SystemExit):
        ask(**tyro_options(section), args=["--help"], description=description)
    if section.sections:
        print(f"\n{table(section)}\n\n{_FOOTER}")


def parse_with_preset(
    kind: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str,
    usage: str | None,
    default: Callable[[Any], Arguments],
) -> Arguments:
    """Reads ``PRESET --section.field value ...``; ``default`` is given the preset's config."""
    configs = find_presets()
    preset, options = preset_first(argv, usage=usage, presets=configs.names())
    config = configs.fit(preset, options).config
    return parse(kind, options, prog=f"{prog} {preset}", description=usage, default=default(config))


def find_presets() -> ModuleType:
    """``configs`` of the repository, which an installed package does not have."""
    try:
        import configs

        configs.load  # noqa: B018
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"presets are in configs/ of the repository: run this in a clone of it ({error})"
        ) from error
    return configs


def preset_first(
    argv: Sequence[str], *, usage: str | None, presets: Sequence[str]
) -> tuple[str, list[str]]:
    """Divides ``PRESET --section.field value ...``; ends the program where there is no preset."""
    preset, *options = argv or ["--help"]
    if not preset.startswith("-"):
        return preset, options
    if help_topic(argv) == NAMES:
        print("\n".join(presets))
    else:
        print(f"{usage}\nPresets: {', '.join(presets)}")
    sys.exit(0 if preset in _HELP else 2)


def tell_usage(argv: Sequence[str], usage: str | None) -> NoReturn:
    """Ends the program with its usage, where not enough is given to know its options."""
    if help_topic(argv) == NAMES:
        usage = "\n".join(dict.fromkeys(re.findall(r"--[a-z][\w.-]*", usage or "")))
    print(usage)
    sys.exit(0 if argv else 2)


def help_topic(argv: Sequence[str]) -> str | None:
    """What help is wanted about: "" is the script itself, None is nothing."""
    places = [place for place, argument in enumerate(argv) if argument in _HELP]
    if not places:
        return None
    topics = [*argv[places[0] + 1 : places[0] + 2], ""]
    return "" if topics[0].startswith("-") else topics[0]


def some_of(kind: type[Arguments], argv: Sequence[str], *, default: Arguments) -> Arguments:
    """Reads the options of ``kind`` before the others can be known, which are passed over."""
    return tyro.cli(
        kind, args=argv, default=default, return_unknown_args=True, add_help=False, config=_MARKERS
    )[0]


class Source(NamedTuple):
    """Where a detector comes from: a run's work directory, or a file of weights."""

    workdir: Path | None
    checkpoint: Path | None
    preset: str | None


def first_look(argv: Sequence[str]) -> Source:
    """What decides which other options there are, and their defaults."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--init.checkpoint", type=Path, dest="checkpoint")
    parser.add_argument("--preset")
    return Source(**vars(parser.parse_known_args(argv)[0]))


def use_compilation_cache() -> None:
    """Keeps compiled programs in ``~/.cache/maskrcnn_jax``, unless JAX was told another place."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path.home() / ".cache" / "maskrcnn_jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))
