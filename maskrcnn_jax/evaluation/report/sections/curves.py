"""Precision over recall."""

import numpy as np

from maskrcnn_jax.evaluation.matching import IOU_THRESHOLDS
from maskrcnn_jax.evaluation.overlaps import IouType
from maskrcnn_jax.evaluation.precision import RECALLS
from maskrcnn_jax.evaluation.report.blocks import as_table, data_table, figure, fraction, section
from maskrcnn_jax.evaluation.report.charts import Line, legend, line_chart, linear_axis
from maskrcnn_jax.evaluation.report.findings import KIND_NAMES, Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag

_SHOWN_THRESHOLDS = (0.5, 0.75, 0.9)
_X, _Y = linear_axis("recall"), linear_axis("precision")


def curves(findings: Findings) -> Element:
    """One chart for each kind of overlap."""
    return section(
        "curves",
        "Precision and recall",
        tag(
            "p",
            "Going down the detections from the best score, recall is the share of the objects "
            "that have been found, and precision the best share of right detections at that "
            "recall or beyond. Curves are means over the classes with objects. The number behind "
            "each is the area under it, which is the AP.",
        ),
        tag("div", [_of_kind(findings, kind) for kind in findings.scores], class_="charts"),
    )


def precision_lines(precision: np.ndarray) -> list[Line]:
    """Of [10 IoU thresholds, 101 recalls]: their mean, then some of them."""
    chosen = [int(np.argmin(np.abs(IOU_THRESHOLDS - value))) for value in _SHOWN_THRESHOLDS]
    values = {"mean of IoU .50 to .95": precision.mean(axis=0)} | {
        f"IoU {IOU_THRESHOLDS[i]:.2f}".replace("0.", "."): precision[i] for i in chosen
    }
    return [
        Line(name=name, x=RECALLS, y=y, series=series)
        for series, (name, y) in enumerate(values.items(), start=1)
    ]


def precision_chart(lines: list[Line], *, of: str) -> list[Element]:
    """The chart with its legend, which has the areas."""
    areas = [fraction(float(line.y.mean())) for line in lines]
    words = ", ".join(f"{line.name}: area {area}" for line, area in zip(lines, areas, strict=True))
    description = f"Precision over recall of {of}. {words}."
    return [line_chart(lines, x=_X, y=_Y, description=description), legend(lines, areas)]


def _of_kind(findings: Findings, kind: IouType) -> Element:
    precision = findings.scores[kind].evidence.precision[..., 0]
    defined = ~np.isnan(precision[0, 0])
    name = KIND_NAMES[kind]
    if not defined.any():
        return figure(name.capitalize(), tag("p", "There are no objects to find."))
    lines = precision_lines(precision[:, :, defined].mean(axis=2))
    rows = [
        [f"{RECALLS[i]:.1f}", *(fraction(float(line.y[i])) for line in lines)]
        for i in range(0, len(RECALLS), 10)
    ]
    table = data_table(
        caption=f"Precision of {name} at some recalls",
        head=["Recall", *(line.name for line in lines)],
        rows=rows,
        label=f"Precision of {name}",
    )
    return figure(name.capitalize(), precision_chart(lines, of=name), as_table(table))
