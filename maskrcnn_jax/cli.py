"""What the scripts share: reading options, and the cache of compiled programs."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import tyro

Arguments = TypeVar("Arguments")

_STYLE = (tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff)


def parse(
    kind: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str,
    description: str | None,
    default: Arguments,
) -> Arguments:
    """Reads ``--section.field value`` options; a misspelt one ends the program with status 2."""
    return tyro.cli(
        kind,
        args=argv,
        prog=prog,
        description=description,
        default=default,
        config=_STYLE,
    )


def some_of(kind: type[Arguments], argv: Sequence[str], *, default: Arguments) -> Arguments:
    """Reads the options of ``kind`` before the others can be known, which are passed over."""
    return tyro.cli(
        kind, args=argv, default=default, return_unknown_args=True, add_help=False, config=_STYLE
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
