"""What the scripts share: reading options, and the cache of compiled programs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import jax
import tyro

Arguments = TypeVar("Arguments")


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
        config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
    )


def use_compilation_cache() -> None:
    """Keeps compiled programs in ``~/.cache/maskrcnn_jax``, unless JAX was told another place."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path.home() / ".cache" / "maskrcnn_jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))
