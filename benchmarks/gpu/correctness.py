"""Whether an accelerator computes what the CPU beside it does: ``python -m ....correctness``.

Detections of an image, and losses and gradients of a training step, of the same weights on both,
in float32 with full precision of products. Exit status 1 if they differ by more than rounding.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import tyro

from benchmarks.speed.ours import detector


@dataclass(frozen=True, kw_only=True)
class Arguments:
    size: tuple[int, int] = (320, 480)
    num_rois: int = 128
    # Largest difference of scores and mask probabilities, and of gradients beside the largest one.
    tolerance: float = 1e-3
    # Of boxes, in pixels.
    box_tolerance: float = 0.1


def run(arguments: Arguments) -> bool:
    """Prints the differences; whether all are within their tolerances."""
    devices = [jax.devices()[0], jax.devices("cpu")[0]]
    print(f"{devices[0].device_kind} against {devices[1].device_kind}")
    shared: Any = {"size": arguments.size, "batch_size": 1, "precision": "float32"}
    here, there = _on_each(detector.prediction(**shared), devices)
    both = here.valid & there.valid & (here.labels == there.labels)
    training = detector.training(**shared, num_rois=arguments.num_rois, num_objects=10)
    (loss, gradients), (other_loss, other_gradients) = _on_each(training, devices)
    checks = {
        "detections that differ": (float((~both & (here.valid | there.valid)).mean()), 0.02),
        "scores": (_difference(here.scores, there.scores, both), arguments.tolerance),
        "boxes, pixels": (_difference(here.boxes, there.boxes, both), arguments.box_tolerance),
        "masks": (_difference(here.masks, there.masks, both), arguments.tolerance),
        "loss": (abs(float(loss) / float(other_loss) - 1), arguments.tolerance),
        "gradients": (_largest(gradients, other_gradients), arguments.tolerance),
    }
    for name, (value, limit) in checks.items():
        print(f"{name}: {value:.2e} (at most {limit:g}){'' if value <= limit else '  TOO MUCH'}")
    return all(value <= limit for value, limit in checks.values())


def _on_each(program: detector.Program, devices: Sequence[Any]) -> list[Any]:
    found = []
    for device in devices:
        with jax.default_matmul_precision("highest"):
            arguments = jax.device_put(program.arguments, device)
            found.append(jax.device_get(jax.jit(program.function)(*arguments)))
    return found


def _difference(here: np.ndarray, there: np.ndarray, both: np.ndarray) -> float:
    return float(np.abs(here[both] - there[both]).max(initial=0))


def _largest(here: Any, there: Any) -> float:
    """Over all arrays, the largest difference beside the array's largest value."""
    pairs = zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True)
    return max(float(np.abs(a - b).max() / (np.abs(b).max() + 1e-12)) for a, b in pairs)


if __name__ == "__main__":
    sys.exit(0 if run(tyro.cli(Arguments, description=__doc__)) else 1)
