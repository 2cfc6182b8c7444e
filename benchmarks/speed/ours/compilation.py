"""What a user waits for before the first step."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.contestant import ROOT

_COMPILE = """
import jax, configs
from maskrcnn_jax.training.aot.programs import train_program
from maskrcnn_jax.training.sharding import data_mesh
config = configs.load("{preset}")
program = train_program(config, data_mesh(), config.input.training_padded_sizes()[0])
program.step.lower(*program.arguments).compile()
"""


def compilation(*, preset: str, is_warm: bool) -> Callable[[], Any]:
    """The training step of a preset in a new process, with the cache of programs full or empty."""
    cache = tempfile.mkdtemp()

    def run() -> None:
        place = cache if is_warm else tempfile.mkdtemp()
        _run("-c", _COMPILE.format(preset=preset), cache=place)

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
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
