"""The COCO numbers: 12 for boxes, masks and boundaries, and AP for each class.

They are those of pycocotools to the last digit (``tests/evaluation/test_matching.py``), in a
fraction of its time: all images and categories are matched at once, in arrays.

A data set of LVIS is evaluated by that one's rules, with its 13 numbers: ``lvis.py``.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation import lvis
from maskrcnn_jax.evaluation.comparison import Comparison, Outcome
from maskrcnn_jax.evaluation.evidence import Evidence
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.instances import Cells
from maskrcnn_jax.evaluation.mask_quality import mean_matched_iou
from maskrcnn_jax.evaluation.matching import IOU_THRESHOLDS
from maskrcnn_jax.evaluation.overlaps import IouType
from maskrcnn_jax.evaluation.precision import Curves, mean_defined
from maskrcnn_jax.garbage import collector_paused

# In the order of COCOeval.stats. s m l: areas below 32^2, up to 96^2, above; AR1 AR10 AR100: with
# that many detections of a category in an image.
SUMMARY_NAMES = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
)


@dataclass(frozen=True, kw_only=True)
class CocoScores:
    """Fractions; NaN where there is nothing to find (no object of that class or size)."""

    summary: dict[str, float]  # by SUMMARY_NAMES, or those of LVIS
    per_class: dict[str, float]  # AP by category name
    mean_matched_iou: float | None = None  # masks only
    evidence: Evidence

    def as_json(self) -> dict:
        """One flat object with ``per_class`` inside; undefined numbers are ``None``."""
        numbers: dict = {name: _or_none(value) for name, value in self.summary.items()}
        if self.mean_matched_iou is not None:
            numbers["mean_matched_iou"] = _or_none(self.mean_matched_iou)
        return numbers | {
            "per_class": {name: _or_none(value) for name, value in self.per_class.items()}
        }


@collector_paused()
def evaluate(
    truth: CocoTruth,
    results: Sequence[dict],
    *,
    iou_types: Sequence[IouType],
    image_ids: Collection[int] | None = None,
) -> dict[IouType, CocoScores]:
    """Scores COCO result records, by kind of overlap.

    Only ``image_ids`` count (all images of ``truth`` if None); results on other images are left
    out. Boxes are ranked by ``score``, masks by ``mask_score`` where a record has one. The size of
    a detection, which decides where it counts as small, medium or large, is the area of its box for
    "bbox" and else of its mask (as in Detectron2 and MMDetection; plain pycocotools takes the box
    always). A record without a box gets the extent of its mask, and the mask's area in all cases
    (as in pycocotools). Crowds match any number of detections, which then count neither for nor
    against.
    """
    ids = truth.image_sizes if image_ids is None else image_ids
    cells = Cells(
        category_ids=np.unique([item.id for item in truth.categories]).astype(np.int64),
        image_ids=np.unique(list(ids)).astype(np.int64),
    )
    comparison = Comparison(truth=truth, results=results, cells=cells)
    outcomes: dict[IouType, Outcome] = {kind: comparison.outcome(kind) for kind in iou_types}
    quality = None
    if "segm" in iou_types:
        boxes = outcomes.get("bbox") or comparison.outcome("bbox")
        quality = mean_matched_iou(boxes.matches, results, truth.objects)
    scores: dict[IouType, CocoScores] = {}
    for iou_type, (found, matches) in outcomes.items():
        # Undefined for all thresholds and recalls of a category at once.
        per_class = found.precision[..., 0].mean(axis=(0, 1)).tolist()
        scores[iou_type] = CocoScores(
            summary=_summary(found)
            if truth.federation is None
            else lvis.summary(found, cells=cells, federation=truth.federation),
            per_class=dict(zip(distinct_names(truth), per_class, strict=True)),
            mean_matched_iou=quality if iou_type == "segm" else None,
            evidence=Evidence(precision=found.precision, matches=matches),
        )
    return scores


def distinct_names(truth: CocoTruth) -> tuple[str, ...]:
    """Name of each category; namesakes are told apart by their ids."""
    uses = Counter(category.name for category in truth.categories)
    return tuple(
        category.name if uses[category.name] == 1 else f"{category.name} ({category.id})"
        for category in truth.categories
    )


def _summary(found: Curves) -> dict[str, float]:
    precision, recall = found.precision, found.recall
    at = {level: level == IOU_THRESHOLDS for level in (0.5, 0.75)}
    values = (
        *(precision[..., 0], precision[at[0.5], ..., 0], precision[at[0.75], ..., 0]),
        *(precision[..., area] for area in (1, 2, 3)),
        *(recall[..., 0, number] for number in range(3)),
        *(recall[..., area, -1] for area in (1, 2, 3)),
    )
    return dict(zip(SUMMARY_NAMES, map(mean_defined, values), strict=True))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
