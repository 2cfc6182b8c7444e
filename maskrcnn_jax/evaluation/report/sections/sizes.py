"""Scores and finds by the size of objects."""

from maskrcnn_jax.evaluation.report.blocks import (
    bar,
    data_table,
    fraction,
    percent,
    section,
)
from maskrcnn_jax.evaluation.report.findings import KIND_NAMES, Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag
from maskrcnn_jax.evaluation.report.statistics.size_counts import SizeCount, size_counts

_SIZES = {"s": "small, below 32²", "m": "medium, 32² to 96²", "l": "large, above 96²"}


def sizes(findings: Findings) -> Element:
    """COCO's three sizes, and finer ones."""
    return section(
        "sizes",
        "Sizes",
        tag("p", "The size of an object is its annotated area, in pixels of the original image."),
        tag("div", _scores(findings), _finds(findings), class_="columns"),
    )


def _scores(findings: Findings) -> Element:
    rows = [
        [
            text,
            *(
                bar(value, fraction(value))
                for item in findings.scores.values()
                for value in [item.summary[f"AP{size}"]]
            ),
        ]
        for size, text in _SIZES.items()
    ]
    head = ["Size", *(f"AP of {KIND_NAMES[kind]}" for kind in findings.scores)]
    return data_table(caption="AP by size", head=head, rows=rows, label="AP by size")


def _finds(findings: Findings) -> Element:
    counts = size_counts(findings.outcome, threshold=findings.threshold)
    if not counts:
        return tag("p", "There are no objects to find.")
    rows = [
        [
            _interval(item),
            f"{item.objects:,}",
            bar(item.found, percent(item.found, item.objects), full=item.objects),
        ]
        for item in counts
    ]
    return data_table(
        caption=f"Objects found by detections that score {findings.threshold:.3f} or more",
        head=["Side (root of the area)", "objects", "found"],
        rows=rows,
        label="Objects found, by size",
    )


def _interval(item: SizeCount) -> str:
    return f"{item.low} to {item.high}" if item.high else f"{item.low} or more"
