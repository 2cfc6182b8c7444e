"""All that the page tells of, computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskrcnn_jax.evaluation.coco import CocoScores, distinct_names
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    title: str
    names: tuple[str, ...]  # of the categories
    scores: Mapping[IouType, CocoScores]
    main: IouType  # what errors, confusion, sizes and pictures go by: masks, or boxes without them
    outcome: Outcome
    errors: Errors
    gains: Mapping[Kind, float]
    curves: ThresholdCurves
    threshold: float  # of what is counted and drawn
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
        names=distinct_names(truth),
        scores=scores,
        main=main,
        outcome=outcome,
        errors=errors,
        gains=gains(outcome, errors),
        curves=curves,
        threshold=threshold,
        counts=class_counts(outcome, errors, threshold=threshold),
    )
