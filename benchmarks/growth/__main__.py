"""Time and memory of a training step as its work grows: ``python -m benchmarks.growth``.

One thing at a time is varied: the image, the batch, the objects in an image, the classes, the
devices (of one machine, which share its cores: more of them can only show what dividing costs).
Prints a table, and writes it with a plot and a JSON file into a folder.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import tyro

from benchmarks.speed.contestant import Contestant
from maskrcnn_jax.errors import InputError, did_you_mean, exits_on_input_error
from maskrcnn_jax.files import write_bytes, write_json

_BASE: dict[str, Any] = {
    "size": (256, 320),
    "batch_size": 1,
    "num_objects": 10,
    "num_classes": 80,
    "num_rois": 128,
}


class Axis(NamedTuple):
    """``settings`` are what departs from the base, by the number that is plotted."""

    label: str
    settings: Mapping[float, Mapping[str, Any]]


AXES = {
    "size": Axis(
        "megapixels",
        {
            h * w / 1e6: {"size": (h, w)}
            for h, w in ((128, 160), (256, 320), (384, 512), (512, 640), (768, 1024))
        },
    ),
    "batch": Axis("images", {n: {"batch_size": n} for n in (1, 2, 4, 8)}),
    "objects": Axis("objects", {n: {"num_objects": n} for n in (1, 10, 50, 100, 200, 500)}),
    "classes": Axis("classes", {n: {"num_classes": n} for n in (1, 20, 80, 365, 1203)}),
    "devices": Axis("devices", {n: {"batch_size": 8, "num_devices": n} for n in (1, 2, 4, 8)}),
}


class Point(NamedTuple):
    seconds: float
    peak_memory: int


@dataclass(frozen=True, kw_only=True)
class Arguments:
    # Axes; none: all of them.
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    # A folder for tables and plots.
    out: Path = Path("runs/growth")
    # Steps that are timed after the first; the best counts.
    times: int = 3


def run(arguments: Arguments) -> None:
    """Measures, and writes after each axis."""
    for name in arguments.names:
        if name not in AXES:
            raise InputError(f"there is no axis {name!r}.{did_you_mean(name, AXES)}")
    found: dict[str, dict[float, Point]] = {}
    for name in arguments.names or AXES:
        found[name] = {}
        for value, setting in AXES[name].settings.items():
            found[name][value] = measure(setting, times=arguments.times)
            print(f"{name} {value:g}: {found[name][value]}", flush=True)
        write(found, arguments.out)
    print(f"\n{table(found)}\n\nwritten to {arguments.out}")


def measure(setting: Mapping[str, Any], *, times: int) -> Point:
    """The best of several steps, in a process of its own."""
    options = {**_BASE, **setting}
    devices = options.pop("num_devices", 1)
    with Contestant(
        Path(sys.executable),
        "benchmarks.growth.step",
        work="step",
        options=options,
        environment={"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"},
    ) as contestant:
        found = contestant.run(times=times)
    return Point(min(found.seconds), found.peak_memory)


def write(found: Mapping[str, Mapping[float, Point]], folder: Path) -> None:
    """``growth.json``, ``growth.md`` and ``growth.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {name: {str(v): p._asdict() for v, p in axis.items()} for name, axis in found.items()}
    write_json(folder / "growth.json", content, indent=1)
    write_bytes(folder / "growth.md", f"{table(found)}\n".encode())
    plot(found, folder / "growth.png")


def table(found: Mapping[str, Mapping[float, Point]]) -> str:
    """Markdown: each setting beside the smallest one of its axis."""
    lines = [
        "| what | number | seconds | GB | times the seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, points in found.items():
        first = next(iter(points.values()))
        lines += [
            f"| {AXES[name].label} | {value:.4g} | {point.seconds:.3f} | "
            f"{point.peak_memory / 1e9:.2f} | {point.seconds / first.seconds:.2f} |"
            for value, point in points.items()
        ]
    return "\n".join(lines)


def plot(found: Mapping[str, Mapping[float, Point]], path: Path) -> None:
    """Seconds above, gigabytes below, one column for each axis."""
    figure, rows = plt.subplots(
        2, len(found), figsize=(2.6 * len(found), 4.5), layout="constrained", squeeze=False
    )
    for (seconds, memory), (name, points) in zip(rows.T, found.items(), strict=True):
        seconds.plot(list(points), [point.seconds for point in points.values()], "o-")
        memory.plot(list(points), [point.peak_memory / 1e9 for point in points.values()], "o-")
        memory.set_xlabel(AXES[name].label)
        for axes in (seconds, memory):
            axes.set_ylim(0, 1.1 * axes.dataLim.ymax)
    rows[0, 0].set_ylabel("seconds a step")
    rows[1, 0].set_ylabel("GB")
    figure.savefig(path, dpi=120)
    plt.close(figure)


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    run(tyro.cli(Arguments, description=__doc__))


if __name__ == "__main__":
    main()
