"""Classes beside each other, and each by itself."""

import numpy as np

from maskrcnn_jax.evaluation.overlaps import IouType
from maskrcnn_jax.evaluation.report.blocks import (
    bar,
    counted,
    data_table,
    fraction,
    percent,
    section,
)
from maskrcnn_jax.evaluation.report.findings import KIND_NAMES, Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag
from maskrcnn_jax.evaluation.report.sections.curves import precision_chart, precision_lines
from maskrcnn_jax.evaluation.report.sections.errors import TITLES
from maskrcnn_jax.evaluation.report.statistics.error_kinds import Kind


def classes(findings: Findings) -> Element:
    """The best class first; those without objects are named below."""
    ap = np.array(list(findings.scores[findings.main].per_class.values()))
    ranking = np.argsort(-ap, kind="stable")
    present = [int(label) for label in ranking if not np.isnan(ap[label])]
    absent = [name for name, value in zip(findings.names, ap, strict=True) if np.isnan(value)]
    return section(
        "classes",
        "Classes",
        _table(findings, present) if present else None,
        _absent(absent) if absent else None,
        _each(findings, present) if present else None,
    )


def _table(findings: Findings, present: list[int]) -> Element:
    others: list[IouType] = [kind for kind in findings.scores if kind != findings.main]
    head = [
        "Class",
        f"AP of {KIND_NAMES[findings.main]}",
        "AP50",
        *(f"AP of {KIND_NAMES[kind]}" for kind in others),
        "objects",
        "found",
        "right",
    ]
    rows = []
    for label in present:
        name, counts = findings.names[label], findings.counts
        ap, ap50 = _of_class(findings, label)
        rows.append(
            [
                tag("a", name, href=f"#class-{label}"),
                bar(ap, fraction(ap)),
                fraction(ap50),
                *(fraction(findings.scores[kind].per_class[name]) for kind in others),
                f"{counts.objects[label]:,}",
                percent(int(counts.found[label]), int(counts.objects[label])),
                percent(int(counts.found[label]), int(counts.detections[label])),
            ]
        )
    caption = (
        "AP of each class. Found is the share of its objects, right the share of its detections, "
        f"among those that score {findings.threshold:.3f} or more"
    )
    return data_table(caption=caption, head=head, rows=rows, label="Classes", class_="sortable")


def _each(findings: Findings, present: list[int]) -> Element:
    """Folded, and so is each of them; the links of the table lead inside, which unfolds both."""
    return tag(
        "details",
        tag("summary", "Each class by itself: precision, recall and errors"),
        tag("div", [_alone(findings, label) for label in present], class_="each"),
    )


def _absent(names: list[str]) -> Element:
    title = f"Without objects, and so without AP: {counted(len(names), 'class', 'classes')}"
    return tag("details", tag("summary", title), tag("p", ", ".join(names)))


def _alone(findings: Findings, label: int) -> Element:
    name, (ap, _) = findings.names[label], _of_class(findings, label)
    precision = findings.scores[findings.main].evidence.precision[:, :, label, 0]
    counts = findings.counts
    facts = [
        ("objects", counts.objects[label]),
        ("found", counts.found[label]),
        *((_title(kind), counts.errors[label, kind]) for kind in Kind),
    ]
    of = f"{findings.shapes} of {name}"
    return tag(
        "details",
        tag("summary", tag("span", name), tag("b", fraction(ap))),
        tag(
            "div",
            tag("div", precision_chart(precision_lines(precision), of=of)),
            tag("dl", [tag("div", tag("dt", key), tag("dd", f"{n:,}")) for key, n in facts]),
            id=f"class-{label}",
            tabindex="-1",
            class_="alone",
        ),
    )


def _title(kind: Kind) -> str:
    return TITLES[kind] if kind == Kind.MISSED else f"wrong: {TITLES[kind]}"


def _of_class(findings: Findings, label: int) -> tuple[float, float]:
    """AP, and AP at the lowest IoU threshold."""
    precision = findings.scores[findings.main].evidence.precision[:, :, label, 0]
    return float(precision.mean()), float(precision[0].mean())
