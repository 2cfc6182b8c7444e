"""The log of a run: a progress bar, and a line every few steps."""

import sys
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import optax
from tqdm import tqdm

from maskrcnn_jax.training.compilations import Compilations
from maskrcnn_jax.training.distributed import is_first_process, say
from maskrcnn_jax.training.log_outputs import LogOutput
from maskrcnn_jax.training.step import Metrics

Sums = tuple[tuple[str, float], ...]


class TrainingLog:
    """Averages metrics over the steps between two lines. The first process has outputs to write to.

    ``unlogged`` is what a run that was stopped between two lines had noted of the next one.
    """

    def __init__(
        self,
        outputs: Sequence[LogOutput],
        *,
        start: int,
        num_steps: int,
        every: int,
        images_per_step: int,
        learning_rate: optax.Schedule,
        unlogged: Sums,
    ) -> None:
        self._step, self._num_steps, self._every = start, num_steps, every
        self._images_per_step, self._learning_rate = images_per_step, learning_rate
        self._sums = dict(unlogged)  # and under "steps" their number
        self._pending: list[Metrics] = []
        self._time, self._steps_timed = time.perf_counter(), 0
        self._compilations = Compilations()
        self._outputs = outputs
        self._bar = tqdm(
            disable=not is_first_process(),
            initial=start,
            total=num_steps,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )

    def add(self, metrics: Metrics, *, image_shape: tuple[int, ...]) -> None:
        """Takes the metrics of one more step; tells when its program had to be compiled."""
        self._step += 1
        self._steps_timed += 1
        self._pending.append(metrics)
        self._bar.update()
        if seconds := self._compilations.seconds_since_asked():
            _, height, width, _ = image_shape
            self._tell(f"compiled in {seconds:.1f} s, for images of {height}x{width}")

    def is_due(self) -> bool:
        """Whether a line belongs behind the newest step."""
        return self._step % self._every == 0 or self._step == self._num_steps

    def metrics_of(self, step: int) -> dict[str, float]:
        """The metrics of a step since the last line or the last ``unlogged``."""
        metrics = jax.device_get(self._pending[step - self._step - 1])
        return {name: float(value) for name, value in metrics.items()}

    def unlogged(self) -> Sums:
        """What the next line will need of the steps so far. Waits until these are done."""
        for metrics in jax.device_get(self._pending):
            for name, value in {**metrics, "steps": 1}.items():
                self._sums[name] = self._sums.get(name, 0.0) + float(value)
        self._pending = []
        return tuple(self._sums.items())

    def write(self) -> None:
        """Writes a line: means over the steps since the one before."""
        sums, now = dict(self.unlogged()), time.perf_counter()
        steps = sums.pop("steps")
        line = {
            **{name: value / steps for name, value in sums.items()},
            "learning_rate": np.asarray(self._learning_rate(self._step - 1)).item(),
            "images_per_second": self._steps_timed * self._images_per_step / (now - self._time),
            "compilations": self._compilations.count,
        }
        self._sums, self._time, self._steps_timed = {}, now, 0
        for output in self._outputs:
            output.write(self._step, line)
        self._bar.set_postfix_str(_summary(line))
        self._compilations.seconds_since_asked()  # those for the learning rate are nobody's news

    def write_picture(self, picture: np.ndarray) -> None:
        """Writes a picture of the newest step."""
        for output in self._outputs:
            output.write_picture(self._step, picture)
        if seconds := self._compilations.seconds_since_asked():
            self._tell(f"compiled for its pictures in {seconds:.1f} s")

    def close(self) -> None:
        self._bar.close()
        for output in self._outputs:
            output.close()

    def _tell(self, what: str) -> None:
        self._bar.clear()
        say(f"step {self._step}: {what}")


def _summary(line: Mapping[str, float]) -> str:
    parts = [name for name in line if name == "loss" or name.startswith(("rpn_", "roi_"))]
    losses = " ".join(f"{name} {line[name]:.3f}" for name in parts)
    return f"{losses}, {line['images_per_second']:.1f} images/s"
