"""What a user waits for before the first step."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

import configs
from benchmarks.speed.contestant import ROOT
from maskrcnn_jax.training.aot.programs import train_program
from maskrcnn_jax.training.sharding import data_mesh


def compilation(*, preset: str, is_warm: bool) -> Callable[[], Any]:
    """The training step of a preset, traced and compiled, with the cache of programs full or
    empty.
    """
    config = configs.load(preset)
    size = config.input.training_padded_sizes()[0]
    program = train_program(config, data_mesh(), size)
    cache = tempfile.mkdtemp()

    def run() -> None:
        jax.config.update("jax_compilation_cache_dir", cache if is_warm else tempfile.mkdtemp())
        compilation_cache.reset_cache()
        jax.clear_caches()
        program.step.lower(*program.arguments).compile()

    return run


def first_step(*, preset: str) -> Callable[[], Any]:
    """``train.py`` from its start to the end of the first step, with the cache full."""
    folder = Path(tempfile.mkdtemp())
    options = ["--optimizer.schedule.epochs", "0.001", "--data.cache-dir", str(folder / "data")]
    number = 0

    def run() -> None:
        nonlocal number
        number += 1
        workdir = str(folder / f"run{number}")
        _run("train.py", preset, "--workdir", workdir, *options, cache=str(folder / "cache"))

    return run


def _run(*command: str, cache: str) -> None:
    environment = {"JAX_COMPILATION_CACHE_DIR": cache, "PATH": "/usr/bin:/bin"}
    # Its own standard output carries the answers of this process.
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, check=True, stdout=sys.stderr
    )
