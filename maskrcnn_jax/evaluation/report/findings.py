"""All that the page tells of, computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskrcnn_jax.evaluation.coco import CocoScores, distinct_names
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.lvis import MAX_DETECTIONS
from maskrcnn_jax.evaluation.overlaps import IouType
from maskrcnn_jax.evaluation.report.statistics.class_counts import ClassCounts, class_counts
from maskrcnn_jax.evaluation.report.statistics.error_kinds import Errors, Kind, find_errors
from maskrcnn_jax.evaluation.report.statistics.gains import gains
from maskrcnn_jax.evaluation.report.statistics.operating_point import (
    ThresholdCurves,
    threshold_curves,
)
from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome, Shape, gather

KIND_NAMES: dict[IouType, str] = {"bbox": "boxes", "segm": "masks", "boundary": "boundaries"}


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """By whose rules results are scored, as the page tells it."""

    name: str
    package: str  # whose numbers are the same
    counted: str  # which detections take part
    ignored: str  # which of these are neither right nor wrong


COCO = Scheme(
    name="COCO",
    package="pycocotools",
    counted="100 detections of each image and class take part",
    ignored="detections in crowds",
)
LVIS = Scheme(
    name="LVIS",
    package="lvis",
    counted=f"{MAX_DETECTIONS} detections of each image take part, of classes that were looked for",
    ignored="detections that find nothing of a class that is annotated in part",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    title: str
    scheme: Scheme
    names: tuple[str, ...]  # of the categories
    scores: Mapping[IouType, CocoScores]
    main: IouType  # what errors, confusion, sizes and pictures go by: masks, or boxes without them
    outcome: Outcome
    errors: Errors
    gains: Mapping[Kind, float]
    curves: ThresholdCurves
    threshold: float  # of what is counted and drawn
    has_mask_scores: bool  # whether that is one of mask_score, not of score
    counts: ClassCounts

    @property
    def shapes(self) -> str:
        """What overlaps, in words."""
        return KIND_NAMES[self.main]


def find(
    truth: CocoTruth, results: Sequence[dict], scores: Mapping[IouType, CocoScores], *, title: str
) -> Findings:
    """``scores`` are those of ``results`` on all images of ``truth``."""
    main: IouType = "segm" if "segm" in scores else "bbox"
    shape: Shape = "segmentation" if main == "segm" else "bbox"
    outcome = gather(truth, results, scores[main].evidence.matches, shape=shape)
    errors = find_errors(outcome)
    curves = threshold_curves(outcome)
    threshold = curves.best_threshold()
    return Findings(
        title=title,
        scheme=COCO if truth.federation is None else LVIS,
        names=distinct_names(truth),
        scores=scores,
        main=main,
        outcome=outcome,
        errors=errors,
        gains=gains(outcome, errors),
        curves=curves,
        threshold=threshold,
        has_mask_scores=main == "segm" and any("mask_score" in item for item in results),
        counts=class_counts(outcome, errors, threshold=threshold),
    )
