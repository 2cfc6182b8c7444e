"""Times prediction and training beside torchvision on a GPU: ``python -m benchmarks.gpu``.

Needs torch and torchvision in the same Python, or in ``--peer-python``. Works for which time does
not suffice, or that do not fit into memory, are left out and named. The last column is the share of
the device's peak that the products and convolutions of our fastest run reach (MFU); the peak is
that of a large matrix product, measured.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import tyro

from benchmarks.gpu.works import works
from benchmarks.profiling.__main__ import peak
from benchmarks.profiling.arithmetic import work_of_parts
from benchmarks.speed.comparison import Outcome, compare
from benchmarks.speed.ours import detector
from benchmarks.speed.report import table
from benchmarks.speed.works import Work
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_json


@dataclass(frozen=True, kw_only=True)
class Arguments:
    peer_python: Path | None = Path(sys.executable)
    out: Path = Path("runs/gpu.json")
    # No work begins after so many.
    minutes: float = 6.0
    # In place of the sizes and batches of the full run, for machines without a GPU.
    small: bool = False


def run(arguments: Arguments) -> None:
    """Measures as much as there is time for."""
    chosen = works(sizes=((128, 160),), batches=(1, 2)) if arguments.small else works()
    end = time.monotonic() + 60 * arguments.minutes
    outcomes: dict[str, Outcome] = {}
    left_out = []
    for name, work in chosen.items():
        if time.monotonic() > end:
            left_out.append(f"{name}: no time")
            continue
        try:
            outcomes[name] = compare(
                work, peer_python=arguments.peer_python, seconds=10, most_rounds=10
            )
        except InputError as error:
            left_out.append(f"{name}: {error}")
            continue
        print(f"{name}: {images_per_second(outcomes[name]):.1f} images/s", flush=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.out, {k: v.as_json() for k, v in outcomes.items()}, indent=1)
    print(f"\n{jax.devices()[0].device_kind}\n\n{table(outcomes)}\n")
    peaks = {precision: peak(precision) for precision in ("float32", "bfloat16")}
    for name, outcome in outcomes.items():
        share = operations(outcome.work) / outcome.best / peaks[outcome.work.options["precision"]]
        print(f"{name}: {images_per_second(outcome):.1f} images/s, {share:.0%} of the peak")
    print("\n".join(["", *left_out]))


def images_per_second(outcome: Outcome) -> float:
    """Ours, at best."""
    return outcome.work.options["batch_size"] / outcome.best


def operations(work: Work) -> float:
    """Of all products and convolutions."""
    make: Any = {"predict": detector.prediction, "gradients": detector.training}[work.kind]
    program = make(**work.options)
    return sum(w.operations for w in work_of_parts(program.function, *program.arguments).values())


if __name__ == "__main__":
    run(tyro.cli(Arguments, description=__doc__))
