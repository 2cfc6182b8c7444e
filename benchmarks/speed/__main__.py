"""Times the works of this project: ``python -m benchmarks.speed [WORK ...]``.

With ``--peer-python``, an interpreter that has torch and torchvision, they are timed beside
torchvision's, in turns. Prints a table, and writes everything to a JSON file.
"""

import datetime
import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.speed.comparison import Outcome, compare
from benchmarks.speed.report import table
from benchmarks.speed.works import Work, works
from maskrcnn_jax.errors import InputError, did_you_mean, exits_on_input_error
from maskrcnn_jax.files import write_json


@dataclass(frozen=True, kw_only=True)
class Arguments:
    # Works, or groups of works; none: all of them.
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    # A Python that has torch and torchvision; None leaves torchvision out.
    peer_python: Path | None = None
    # Where everything is written, after each work.
    out: Path = Path("runs/speed.json")
    # Of each work, about how long all sides together are timed.
    seconds: float = 20.0
    # Of each work, how many times each side is timed at most.
    most_rounds: int = 50


def run(arguments: Arguments) -> None:
    """Measures, and writes after each work."""
    outcomes: dict[str, Outcome] = {}
    for name, work in _chosen(arguments.names).items():
        print(f"{name}: {work.what}", flush=True)
        outcomes[name] = compare(
            work,
            peer_python=arguments.peer_python,
            seconds=arguments.seconds,
            most_rounds=arguments.most_rounds,
        )
        found = {name: outcome.as_json() for name, outcome in outcomes.items()}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.out, {"machine": _machine(), "works": found}, indent=1)
    print(f"\n{table(outcomes)}\n\nwritten to {arguments.out}")


def _chosen(names: tuple[str, ...]) -> dict[str, Work]:
    known = works()
    groups = {work.group for work in known.values()}
    for name in names:
        if name not in known and name not in groups:
            raise InputError(f"there is no work {name!r}.{did_you_mean(name, {*known, *groups})}")
    return {
        name: work
        for name, work in known.items()
        if not names or name in names or work.group in names
    }


def _machine() -> dict[str, object]:
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")}
    return {
        "date": datetime.datetime.now().astimezone().date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        **versions,
    }


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    run(tyro.cli(Arguments, description=__doc__))


if __name__ == "__main__":
    main()
