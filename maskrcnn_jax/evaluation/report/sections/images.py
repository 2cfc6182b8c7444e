"""The worst and the best images, ground truth beside prediction."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.report.blocks import fraction, section
from maskrcnn_jax.evaluation.report.findings import Findings
from maskrcnn_jax.evaluation.report.markup import Element, tag
from maskrcnn_jax.evaluation.report.pictures import (
    ImageSource,
    data_uri,
    draw_objects,
    draw_results,
)
from maskrcnn_jax.evaluation.report.sections.errors import TITLES
from maskrcnn_jax.evaluation.report.statistics.error_kinds import Kind
from maskrcnn_jax.evaluation.report.statistics.image_quality import ImageQuality, image_quality

# There is more to learn from the worst. Two pictures of each image, of COCO some 50 kB each, keep
# the page below two MB.
_NUM_WORST, _NUM_BEST = 8, 4
_MOST_MISTAKES = 6


def images(
    findings: Findings, truth: CocoTruth, results: Sequence[dict], source: ImageSource | None
) -> Element:
    """Without a source of images there are words alone."""
    quality = image_quality(findings.outcome, threshold=findings.threshold)
    ranking = quality.ranking()
    num_best = min(_NUM_BEST, len(ranking) // 2)
    best = ranking[len(ranking) - num_best :][::-1]
    worst = ranking[: min(_NUM_WORST, len(ranking) - num_best)]

    def shown(index: int) -> Element:
        pictures = None if source is None else _pictures(findings, truth, results, source, index)
        words = tag("div", _words(findings, truth, quality, index))
        return tag("article", words, pictures, class_="image")

    return section(
        "images",
        "Worst and best images",
        tag(
            "p",
            "Images are ranked by the sum of the IoU of what was found, over found + wrong/2 + "
            "missed/2 (the form of panoptic quality, with all classes counted together), among "
            f"detections that score {findings.threshold:.3f} or more. Images with neither "
            "objects nor detections have no rank; crowds are not drawn.",
        ),
        None if source is not None else _how_to_get_pictures(),
        [tag("h3", "Worst"), [shown(index) for index in worst]] if len(worst) else None,
        [tag("h3", "Best"), [shown(index) for index in best]] if len(best) else None,
        None if len(ranking) else tag("p", "There are neither objects nor detections."),
    )


def _how_to_get_pictures() -> Element:
    return tag(
        "p",
        "Pictures are left out, because the annotations do not say where the images are. Give "
        "their folder to eval.py: ",
        tag("code", "--images FOLDER"),
        ".",
        class_="note",
    )


def _pictures(
    findings: Findings,
    truth: CocoTruth,
    results: Sequence[dict],
    source: ImageSource,
    index: int,
) -> Element:
    outcome, names = findings.outcome, findings.names
    image_id = int(outcome.image_ids[index])
    image = source(image_id)
    objects = np.flatnonzero(outcome.objects.images == index)
    detections = _shown_detections(findings, index)
    true = draw_objects(image, truth, outcome.objects.indices[objects].tolist(), names=names)
    predicted = draw_results(
        image,
        truth,
        [results[i] for i in outcome.found.results[detections]],
        scores=outcome.found.scores[detections].tolist(),
        names=names,
    )
    labels = outcome.objects.labels[objects], outcome.found.labels[detections]
    return tag(
        "div",
        _picture("Ground truth", true, _listed(names, labels[0])),
        _picture("Prediction", predicted, _listed(names, labels[1])),
        class_="pair",
    )


def _picture(title: str, picture: np.ndarray, alternative: str) -> Element:
    height, width = picture.shape[:2]
    image = tag(
        "img",
        src=data_uri(picture),
        alt=f"{title}: {alternative}",
        width=width,
        height=height,
    )
    return tag("figure", tag("figcaption", title), image)


def _words(findings: Findings, truth: CocoTruth, quality: ImageQuality, index: int) -> list:
    found, missed, wrong = (
        int(counts[index]) for counts in (quality.found, quality.missed, quality.wrong)
    )
    name = truth.file_names[int(findings.outcome.image_ids[index])]
    value = fraction(float(quality.quality[index]))
    text = f"quality {value}, found {found} of {found + missed}, {wrong} wrong"
    mistakes = [tag("li", words) for words in _mistakes(findings, index)]
    return [
        tag("h4", name, tag("small", text)),
        tag("ul", mistakes, class_="mistakes") if mistakes else None,
    ]


def _mistakes(findings: Findings, index: int) -> list[str]:
    """The wrong detections, best scores first, then the objects that were not found."""
    outcome, errors, names = findings.outcome, findings.errors, findings.names
    shown = _shown_detections(findings, index)
    wrong = [
        f"{names[outcome.found.labels[i]]} {outcome.found.scores[i]:.2f}: "
        f"{TITLES[Kind(errors.kinds[i])]}{_meant(findings, int(i))}"
        for i in shown
        if not outcome.found.right[i]
    ]
    objects = np.flatnonzero(outcome.objects.images == index)
    lost = np.setdiff1d(objects, outcome.found.objects[shown])
    if len(wrong) > _MOST_MISTAKES:
        wrong[_MOST_MISTAKES:] = [f"and {len(wrong) - _MOST_MISTAKES} more"]
    not_found = [f"not found: {_listed(names, outcome.objects.labels[lost])}"] if len(lost) else []
    return [*wrong, *not_found]


def _meant(findings: Findings, detection: int) -> str:
    """What an error of class should have been."""
    if findings.errors.kinds[detection] != Kind.CLASS:
        return ""
    label = findings.outcome.objects.labels[findings.errors.meant[detection]]
    return f", it is {findings.names[label]}"


def _shown_detections(findings: Findings, index: int) -> np.ndarray:
    found = findings.outcome.found
    chosen = np.flatnonzero((found.images == index) & (found.scores >= findings.threshold))
    return chosen[np.argsort(-found.scores[chosen], kind="stable")]


def _listed(names: Sequence[str], labels: np.ndarray) -> str:
    """For example ``2 circle, 1 square``."""
    counts = Counter(names[label] for label in labels)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
