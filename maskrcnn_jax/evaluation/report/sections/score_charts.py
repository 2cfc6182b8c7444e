"""Scores of right and wrong detections, and what a threshold does."""

import numpy as np

from maskrcnn_jax.evaluation.report.blocks import as_table, data_table, figure, fraction, section
from maskrcnn_jax.evaluation.report.charts import (
    Axis,
    Line,
    histogram,
    legend,
    line_chart,
    linear_axis,
)
from maskrcnn_jax.evaluation.report.findings import Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag
from maskrcnn_jax.evaluation.report.statistics.score_histogram import (
    ScoreHistogram,
    score_histogram,
)

# As many as can be told apart in the chart.
_NUM_POINTS = 200


def score_charts(findings: Findings) -> Element:
    """Two histograms and the curves over the threshold."""
    if not len(findings.outcome.found.scores):
        return section("detections", "Scores of detections", tag("p", "There are no detections."))
    bins = score_histogram(findings.outcome)
    axis = linear_axis("score", low=float(bins.borders[0]), high=float(bins.borders[-1]))
    return section(
        "detections",
        "Scores of detections",
        tag(
            "p",
            "A detector that knows what it knows gives high scores to what is right and low ones "
            "to what is wrong. The counts are on a logarithmic axis.",
        ),
        tag(
            "div",
            _thresholds(findings, axis),
            _bars("Right detections", bins, bins.right, axis=axis, series=1),
            _bars("Wrong detections", bins, bins.wrong, axis=axis, series=2),
            class_="charts",
        ),
        as_table(_table(bins)),
    )


def _bars(
    title: str, bins: ScoreHistogram, counts: np.ndarray, *, axis: Axis, series: int
) -> Element:
    total = int(counts.sum())
    description = f"Histogram of the scores of {total:,} {title.lower()}."
    if total:
        peak = int(np.argmax(counts))
        low, high = bins.borders[peak : peak + 2]
        description += f" Most, {counts[peak]:,}, score {low:.3g} to {high:.3g}."
    chart = histogram(bins.borders, counts, x=axis, series=series, description=description)
    return figure(title, chart, tag("p", f"{total:,} detections"))


def _thresholds(findings: Findings, axis: Axis) -> Element:
    curves, threshold = findings.curves, findings.threshold
    shares = {"precision": curves.precision, "recall": curves.recall, "F1": curves.f1}
    grid = np.linspace(axis.low, axis.high, _NUM_POINTS)
    places = curves.places(grid)
    some = places >= 0
    lines = [
        Line(name=name, x=grid[some], y=y[places[some]], series=series)
        for series, (name, y) in enumerate(shares.items(), start=1)
        if not np.isnan(y).any()
    ]
    here = int(curves.places(np.array(threshold)))
    notes = [fraction(float(shares[line.name][here])) if here >= 0 else "" for line in lines]
    words = ", ".join(f"{line.name} {note}" for line, note in zip(lines, notes, strict=True))
    chart = line_chart(
        lines,
        x=axis,
        y=linear_axis("share"),
        marker=threshold if axis.low <= threshold <= axis.high else None,
        description=f"Shares over the threshold of the score; at {threshold:.3f}: {words}.",
    )
    return figure(
        "By threshold", chart, legend(lines, notes), tag("p", f"Marked: {threshold:.3f}.")
    )


def _table(bins: ScoreHistogram) -> Element:
    rows = [
        [
            f"{bins.borders[i]:.3g} to {bins.borders[i + 1]:.3g}",
            f"{bins.right[i]:,}",
            f"{bins.wrong[i]:,}",
        ]
        for i in range(len(bins.right))
    ]
    caption = "Detections by score"
    return data_table(caption=caption, head=["Score", "right", "wrong"], rows=rows, label=caption)
