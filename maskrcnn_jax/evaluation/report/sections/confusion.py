"""Which classes are taken for which."""

import itertools
from collections.abc import Sequence

import numpy as np

from maskrcnn_jax.evaluation.report.blocks import bar, data_table, section
from maskrcnn_jax.evaluation.report.findings import Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag
from maskrcnn_jax.evaluation.report.statistics.confusion import (
    condensed,
    confusion_matrix,
    most_mistaken,
)
from maskrcnn_jax.evaluation.report.statistics.outcome import FOUND_IOU

_MOST_CLASSES = 12  # as many columns fit beside each other on a desk
_MOST_PAIRS = 12


def confusion(findings: Findings) -> Element:
    """A matrix of the classes that are confused most, and the most frequent mistakes."""
    matrix = confusion_matrix(findings.outcome, threshold=findings.threshold)
    return section(
        "confusion",
        "Confusion",
        tag(
            "p",
            f"Detections that score {findings.threshold:.3f} or more. Objects that "
            f"{findings.scheme.name}'s evaluation counts as found at IoU {FOUND_IOU} are on the "
            "diagonal. Objects and detections that are left make pairs of any two classes, the "
            "largest overlap first, "
            f"down to {FOUND_IOU}. Who is still alone was missed, or is background.",
        ),
        tag("div", _matrix(findings, matrix), _pairs(findings, matrix), class_="beside"),
    )


def _matrix(findings: Findings, matrix: np.ndarray) -> Element:
    chosen, small = condensed(matrix, num=_MOST_CLASSES)
    names = [findings.names[label] for label in chosen]
    others = ["other classes"] if len(small) > len(names) + 1 else []
    rows = [
        [name, *_shaded(row)]
        for name, row in zip([*names, *others, "background"], small.tolist(), strict=True)
    ]
    rows[-1][-1] = tag("td", "", class_="void")
    text = "Rows are what it is, columns what it is taken for; shades are shares of the row"
    if others:
        text += f". The {len(names)} classes that are confused most"
    return data_table(
        caption=text,
        head=["", *names, *others, "missed"],
        rows=rows,
        label="Confusion matrix",
        class_="matrix",
    )


def _shaded(row: Sequence[int]) -> list[Element]:
    total = sum(row)
    return [
        tag("td", f"{count:,}", style=f"--share:{count / total:.3f}")
        if count
        else tag("td", "0", class_="zero")
        for count in row
    ]


def _pairs(findings: Findings, matrix: np.ndarray) -> Element:
    most = list(itertools.islice(most_mistaken(matrix), _MOST_PAIRS))
    if not most:
        return tag("p", "No object is taken for one of another class.")
    rows = [
        [
            findings.names[item.true],
            findings.names[item.taken_for],
            f"{item.count:,}",
            bar(item.share, f"{item.share:.0%}"),
        ]
        for item in most
    ]
    return data_table(
        caption="The most frequent mistakes",
        head=["What it is", "what it is taken for", "objects", "share of the class"],
        rows=rows,
        label="The most frequent mistakes",
        class_="pairs",
    )
