"""The log of a run: a progress bar, TensorBoard files and JSON lines."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import optax
from jaxtyping import Array
from tensorboardX import SummaryWriter
from tqdm import tqdm

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_bytes
from maskrcnn_jax.training.step import Metrics


class TrainingLog:
    """Averages metrics over the steps between two lines.

    One process of many ``writes``; the others only watch for numbers that are not finite.

    ``WORKDIR/metrics.jsonl`` has one object for each line. Lines beyond ``start``, written by a
    run that was cut off after its last checkpoint, are dropped, as those steps are done again.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        start: int,
        num_steps: int,
        every: int,
        images_per_step: int,
        learning_rate: optax.Schedule,
        writes: bool,
    ) -> None:
        self._every, self._num_steps = every, num_steps
        self._images_per_step, self._learning_rate = images_per_step, learning_rate
        self._pending: list[Metrics] = []
        self._time = time.perf_counter()
        self._writes = writes
        if not writes:
            return
        self._path = workdir / "metrics.jsonl"
        _truncate(self._path, start)
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1)
        self._bar = tqdm(
            initial=start,
            total=num_steps,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )

    def add(self, step: int, metrics: Metrics) -> None:
        """Takes the metrics of finished step number ``step``, counted from 1."""
        self._pending.append(metrics)
        if self._writes:
            self._bar.update()
        if step % self._every and step != self._num_steps:
            return
        values = jax.tree.map(lambda *x: float(np.mean(x)), *jax.device_get(self._pending))
        check_finite(step, values)
        now = time.perf_counter()
        rate = len(self._pending) * self._images_per_step / (now - self._time)
        self._pending, self._time = [], now
        if not self._writes:
            return
        line = {
            "step": step,
            **values,
            "learning_rate": np.asarray(self._learning_rate(step - 1)).item(),
            "images_per_second": rate,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if name != "step":
                self._board.add_scalar(name, value, step)
        self._bar.set_postfix_str(_summary(line))

    def close(self) -> None:
        if self._writes:
            self._bar.close()
            self._board.close()


def check_finite(step: int, metrics: Mapping[str, Array | float]) -> None:
    """Ends a run that has diverged, before a checkpoint of it is written."""
    wrong = [name for name, value in metrics.items() if not np.isfinite(value)]
    if wrong:
        raise InputError(
            f"step {step}: {', '.join(wrong)} is not finite. Lower --optimizer.learning-rate, "
            "lengthen --optimizer.schedule.warmup-steps or set --optimizer.max-gradient-norm, "
            "and check the boxes of the data."
        )


def _summary(line: dict[str, float]) -> str:
    parts = ("loss", "rpn_objectness", "rpn_box", "roi_class", "roi_box", "roi_mask")
    losses = " ".join(f"{name} {line[name]:.3f}" for name in parts if name in line)
    return f"{losses}, {line['images_per_second']:.1f} images/s"


def _truncate(path: Path, last_step: int) -> None:
    if not path.exists():
        return
    lines = [line for line in path.read_text().splitlines() if _step(line) <= last_step]
    write_bytes(path, "".join(line + "\n" for line in lines).encode())


def _step(line: str) -> float:
    """The step of a line; a line that was cut off while it was written belongs to none."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
