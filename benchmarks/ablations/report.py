"""A table of what was measured, and a plot: every case beside the plain model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import matplotlib.pyplot as plt

from benchmarks.ablations.cases import PLAIN, Case
from benchmarks.ablations.runs import METRICS, Metrics

# Of each case, the numbers of each seed.
Results = Mapping[str, Mapping[int, Metrics]]

_PLOTTED = "mask AP"


def table(results: Results, cases: Mapping[str, Case]) -> str:
    """Markdown: mean and, of several seeds, standard deviation of each number.

    The last column is the mean difference in mask AP from the plain model with the same seeds, and
    the standard deviation of that difference.
    """

    def column(runs: Mapping[int, Metrics], metric: str) -> str:
        return _spread([run[metric] for run in runs.values() if metric in run])

    heading = ["case", "what", "seeds", *METRICS, f"{_PLOTTED} beside `{PLAIN}`"]
    rows = [
        [
            f"`{name}`",
            cases[name].what,
            str(len(runs)),
            *(column(runs, metric) for metric in METRICS),
            _spread(differences(results, name), signed=True) if name != PLAIN else "",
        ]
        for name, runs in results.items()
    ]
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def differences(results: Results, name: str) -> list[float]:
    """Mask AP less that of the plain model, for each seed that both have."""
    plain = results.get(PLAIN, {})
    return [
        run[_PLOTTED] - plain[seed][_PLOTTED]
        for seed, run in results[name].items()
        if seed in plain and _PLOTTED in run
    ]


def plot(results: Results, path: Path) -> None:
    """Writes a PNG: a point for each seed, a bar for their mean."""
    points = {name: differences(results, name) for name in results if name != PLAIN}
    points = {name: values for name, values in points.items() if values}
    figure, axes = plt.subplots(figsize=(7, 1 + 0.3 * max(len(points), 1)), layout="constrained")
    for place, (name, values) in enumerate(points.items()):
        axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.6, label=name)
        axes.plot(mean(values), place, "|", color="black", markersize=14)
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(points)), points)
    axes.invert_yaxis()
    axes.set_xlabel(f"{_PLOTTED} less that of the plain model with the same seed")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _spread(values: Sequence[float], *, signed: bool = False) -> str:
    if not values:
        return "-"
    number = f"{mean(values):+.3f}" if signed else f"{mean(values):.3f}"
    return number if len(values) == 1 else f"{number} ± {stdev(values):.3f}"
