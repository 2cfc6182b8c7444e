"""What was measured, and the numbers of COCO or LVIS."""

from maskrcnn_jax.evaluation.report.blocks import counted, data_table, fraction, section
from maskrcnn_jax.evaluation.report.findings import KIND_NAMES, Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag

_MEANINGS = {
    "AP": "mean over IoU thresholds .50 to .95",
    "AP50": "at IoU .50",
    "AP75": "at IoU .75",
    "APs": "small objects, below 32² pixels",
    "APm": "medium objects, 32² to 96² pixels",
    "APl": "large objects, above 96² pixels",
    "APr": "classes that are rare in training",
    "APc": "classes that are common in training",
    "APf": "classes that are frequent in training",
    "AR1": "one detection per image and class",
    "AR10": "ten detections per image and class",
    "AR100": "a hundred detections per image and class",
    "AR300": "three hundred detections per image",
    "ARs": "small objects",
    "ARm": "medium objects",
    "ARl": "large objects",
}


def header(findings: Findings) -> Element:
    """Title, size of what was measured, and the figures that one looks for first."""
    outcome = findings.outcome
    with_objects = int((outcome.num_objects > 0).sum())
    facts = [
        counted(len(outcome.image_ids), "image"),
        counted(len(outcome.objects.labels), "object"),
        f"{with_objects:,} of {len(findings.names):,} classes with objects",
        counted(len(outcome.found.scores), "detection"),
    ]
    headlines = [
        (f"{name} of {KIND_NAMES[kind]}", fraction(scores.summary[name]))
        for name in ("AP", "AP50")
        for kind, scores in findings.scores.items()
        if name == "AP" or kind == findings.main
    ]
    cards = [tag("div", tag("dt", name), tag("dd", value)) for name, value in headlines]
    return tag(
        "header",
        tag("p", f"Evaluation by the {findings.scheme.name} metrics", class_="kicker"),
        tag("h1", findings.title),
        tag("p", " · ".join(facts), class_="facts"),
        tag("dl", cards, class_="cards"),
    )


def scores(findings: Findings) -> Element:
    """The numbers of each kind, 12 of COCO, and what the rest of the page counts by."""
    quality = findings.scores["segm"].mean_matched_iou if "segm" in findings.scores else None
    matched = None
    if quality is not None:
        matched = tag("p", "Mean IoU of matched masks: ", tag("b", fraction(quality)), ".")
    return section(
        "scores",
        "Scores",
        tag(
            "div",
            _numbers(findings, "AP", "Average precision"),
            _numbers(findings, "AR", "Average recall, over IoU thresholds .50 to .95"),
            class_="columns",
        ),
        matched,
        tag(
            "p",
            "A dash stands where there is nothing to find. What follows, from classes to pictures, "
            f"goes by the overlap of {findings.shapes}. A detection is right if "
            f"{findings.scheme.name}'s evaluation counts it as right at IoU .50; "
            f"{findings.scheme.ignored} are neither right nor wrong. "
            f"Where a threshold is needed, detections that score {findings.threshold:.3f} or more "
            f"count. {_reason(findings)}",
            class_="note",
        ),
    )


def _numbers(findings: Findings, prefix: str, caption: str) -> Element:
    rows = [
        [
            [tag("b", name), tag("span", _MEANINGS[name], class_="meaning")],
            *(fraction(item.summary[name]) for item in findings.scores.values()),
        ]
        for name in findings.scores[findings.main].summary
        if name.startswith(prefix)
    ]
    head = ["Metric", *(KIND_NAMES[kind] for kind in findings.scores)]
    return data_table(caption=caption, head=head, rows=rows, label=caption)


def _reason(findings: Findings) -> str:
    if findings.curves.f1.any():
        other = " It is one of mask_score; predict.py goes by score." * findings.has_mask_scores
        return f"There the F1 of all classes together is largest.{other}"
    return "No detection is right, so no threshold is better than another."
