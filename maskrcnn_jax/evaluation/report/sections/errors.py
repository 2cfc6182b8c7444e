"""What kinds of errors there are, and what each costs."""

import math

from maskrcnn_jax.evaluation.report.blocks import bar, data_table, fraction, section
from maskrcnn_jax.evaluation.report.findings import Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag
from maskrcnn_jax.evaluation.report.statistics.error_kinds import Kind
from maskrcnn_jax.evaluation.report.statistics.outcome import FOUND_IOU, NEAR_IOU

TITLES = {
    Kind.CLASS: "class",
    Kind.LOCATION: "localisation",
    Kind.BOTH: "class and localisation",
    Kind.DUPLICATE: "duplicate",
    Kind.BACKGROUND: "background",
    Kind.MISSED: "missed",
}
_MEANINGS = {
    Kind.CLASS: f"overlaps an object of another class by IoU {FOUND_IOU} or more",
    Kind.LOCATION: f"overlaps an object of its class by {NEAR_IOU} or more, but less than "
    f"{FOUND_IOU}",
    Kind.BOTH: f"overlaps an object of another class by {NEAR_IOU} or more, but less than "
    f"{FOUND_IOU}, and none of its own",
    Kind.DUPLICATE: f"overlaps an object of its class by {FOUND_IOU} or more, which a detection "
    "with a better score has found",
    Kind.BACKGROUND: f"overlaps no object by {NEAR_IOU}",
    Kind.MISSED: "an object that is not found, and that no error of class or localisation is about",
}


def errors(findings: Findings) -> Element:
    """Counts from the threshold on, and the AP that mending a kind would gain."""
    counts = findings.counts.errors.sum(axis=0)
    gains = findings.gains
    largest = max((x for x in gains.values() if not math.isnan(x)), default=0.0)
    base = findings.scores[findings.main].summary["AP50"]
    rows = [
        [
            [tag("b", TITLES[kind]), tag("span", _MEANINGS[kind], class_="meaning")],
            f"{counts[kind]:,}",
            bar(gains[kind], _signed(gains[kind]), full=largest),
        ]
        for kind in Kind
    ]
    num_right, num_all = findings.counts.found.sum(), findings.counts.detections.sum()
    return section(
        "errors",
        "Errors",
        tag(
            "p",
            f"Of {num_all:,} detections that score {findings.threshold:.3f} or more, "
            f"{num_right:,} are right. Each of the others has one kind of error.",
        ),
        data_table(
            caption=f"Errors, and what AP50 ({fraction(base)}) would gain without them",
            head=["Kind", "number", "AP50 gained"],
            rows=rows,
            label="Kinds of errors",
        ),
        tag(
            "p",
            "The kinds are those of TIDE (Bolya et al., 2020), asked for in the order of its code: "
            "localisation, class, duplicate, background. The gain counts all detections, whatever "
            "they score. Each kind is mended alone: detections of the wrong class or place are put "
            "right if their object has not been found, the others are taken away, and missed "
            "objects are not looked for. Gains do not add up. Other than in TIDE, "
            f"{findings.scheme.counted}, as in {findings.scheme.name}.",
            class_="note",
        ),
    )


def _signed(value: float) -> str:
    return fraction(value) if math.isnan(value) else f"+{value:.3f}"
