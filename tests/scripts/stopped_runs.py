"""Runs of train.py that are stopped from outside, and what they leave behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from tests.scripts.conftest import ROOT, TINY, log_lines

DEADLINE = 600  # seconds


class StoppableRun:
    """``train.py shapes`` in a process group of its own, with its output in a file."""

    def __init__(self, workdir: Path, options: Sequence[str], environment: Mapping[str, str]):
        self._workdir = workdir
        self._output = workdir.parent / f"{workdir.name}.log"
        with self._output.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "train.py", "shapes", "--workdir", str(workdir), *TINY, *options],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, happened: Callable[[], bool]) -> bool:
        """Whether it happened before the process had ended."""
        deadline = time.monotonic() + DEADLINE
        while not happened():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.001)
        return True

    def is_saving(self) -> bool:
        return any((self._workdir / "checkpoints").glob("*.orbax-checkpoint-tmp"))

    def has_logged(self, since: int) -> Callable[[], bool]:
        """Whether there is a line for a step beyond ``since``."""
        return lambda: max([0, *logged_steps(self._workdir)]) > since

    def signal_all(self, number: signal.Signals) -> int:
        """Signals main process and workers, as a terminal or SLURM does; returns the status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """Kills the main process alone; its workers have to end by themselves."""
        self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + 60
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(self.process.pid, 0)
                time.sleep(0.05)
            raise AssertionError("worker processes outlive the run")

    def output(self) -> str:
        return self._output.read_text()


def logged_steps(workdir: Path) -> list[int]:
    """As far as the lines are written."""
    try:
        return [line["step"] for line in log_lines(workdir)]
    except (FileNotFoundError, json.JSONDecodeError):
        return []


def assert_same_result(workdir: Path, other: Path) -> None:
    """The logs and the last checkpoints are equal to the last bit."""
    assert log_lines(workdir) == log_lines(other)
    last = logged_steps(workdir)[-1]
    states = [_state(folder / "checkpoints" / str(last)) for folder in (workdir, other)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    assert "opt_state" in states[0]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def _state(folder: Path) -> dict:
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder / "state")
