"""The page as one file: no network, readable without scripts, light and dark, on paper too."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from maskrcnn_jax.evaluation.coco import CocoScores
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.overlaps import IouType
from maskrcnn_jax.evaluation.report.findings import Findings, find
from maskrcnn_jax.evaluation.report.markup import Element, tag, to_html
from maskrcnn_jax.evaluation.report.pictures import ImageSource
from maskrcnn_jax.evaluation.report.sections.classes import classes
from maskrcnn_jax.evaluation.report.sections.confusion import confusion
from maskrcnn_jax.evaluation.report.sections.curves import curves
from maskrcnn_jax.evaluation.report.sections.errors import errors
from maskrcnn_jax.evaluation.report.sections.images import images
from maskrcnn_jax.evaluation.report.sections.overview import header, scores
from maskrcnn_jax.evaluation.report.sections.score_charts import score_charts
from maskrcnn_jax.evaluation.report.sections.sizes import sizes
from maskrcnn_jax.files import write_bytes

_FILES = resources.files("maskrcnn_jax.evaluation.report")


def write_report(
    folder: Path,
    truth: CocoTruth,
    results: Sequence[dict],
    coco_scores: Mapping[IouType, CocoScores],
    *,
    title: str,
    source: ImageSource | None,
) -> Path:
    """Writes ``index.html`` about results that were scored on all images of ``truth``.

    The same input gives the same bytes. Without a source of images there are no pictures.
    """
    findings = find(truth, results, coco_scores, title=title)
    parts = [
        scores(findings),
        curves(findings),
        classes(findings),
        sizes(findings),
        errors(findings),
        confusion(findings),
        score_charts(findings),
        images(findings, truth, results, source),
    ]
    path = folder / "index.html"
    write_bytes(path, to_html(_document(findings, parts)))
    return path


def _document(findings: Findings, parts: list[Element]) -> Element:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{findings.title}: evaluation"),
        tag("link", rel="icon", href="data:,"),  # else browsers look for one beside the page
        tag("style", _FILES.joinpath("page.css").read_text("utf-8")),
    )
    links = [tag("li", tag("a", part[0].text, href=f"#{part.get('id')}")) for part in parts]
    body = tag(
        "body",
        tag("a", "Skip to the scores", href="#scores", class_="skip"),
        header(findings),
        tag("nav", tag("ul", links), aria_label="Parts of this page"),
        tag("main", parts),
        tag(
            "footer",
            tag(
                "p",
                "Written by maskrcnn-jax. The numbers are those of the package "
                f"{findings.scheme.package}.",
            ),
        ),
        tag("script", _FILES.joinpath("page.js").read_text("utf-8")),
    )
    return tag("html", head, body, lang="en")
