"""The COCO numbers, by pycocotools: 12 for boxes, masks and boundaries, and AP for each class.

A data set of LVIS is evaluated by that one's rules, with its 13 numbers: ``lvis.py``.
"""

import contextlib
import functools
import io
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.data.federation import Federation
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.boundary import BoundaryEvaluator
from maskrcnn_jax.evaluation.evidence import Evidence
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.lvis import evaluate_federated
from maskrcnn_jax.evaluation.mask_quality import mean_matched_iou

# How overlaps are measured: of boxes, of masks, of masks and their boundaries.
IouType: TypeAlias = Literal["bbox", "segm", "boundary"]
IOU_TYPES: tuple[IouType, ...] = get_args(IouType)

# In the order of COCOeval.stats. s m l: areas below 32^2, up to 96^2, above; AR1 AR10 AR100: with
# that many detections per image.
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
    ids = sorted(truth.image_sizes if image_ids is None else image_ids)
    names = distinct_names(truth)
    with _quiet():
        references = _reference_coco(truth)
        detections = functools.cache(functools.partial(_detections_coco, truth, results))
        scores: dict[IouType, CocoScores] = {}
        for iou_type in iou_types:
            found = detections(of="boxes" if iou_type == "bbox" else "masks")
            summary, evidence = _run(
                _evaluator(references, found, iou_type),
                image_ids=ids,
                federation=truth.federation,
            )
            # Undefined for all thresholds and recalls of a category at once.
            per_class = evidence.precision[..., 0].mean(axis=(0, 1)).tolist()
            quality = None
            if iou_type == "segm":
                quality = mean_matched_iou(references, detections(of="boxes"), image_ids=ids)
            scores[iou_type] = CocoScores(
                summary=summary,
                per_class=dict(zip(names, per_class, strict=True)),
                mean_matched_iou=quality,
                evidence=evidence,
            )
    return scores


def _evaluator(references: COCO, detections: COCO, iou_type: IouType) -> COCOeval:
    if iou_type == "boundary":
        return BoundaryEvaluator(references, detections)
    return COCOeval(references, detections, iou_type)


def _run(
    evaluator: COCOeval, *, image_ids: Sequence[int], federation: Federation | None
) -> tuple[dict[str, float], Evidence]:
    if federation is not None:
        return evaluate_federated(evaluator, image_ids=image_ids, federation=federation)
    evaluator.params.imgIds = list(image_ids)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    stats = np.where(evaluator.stats < 0, np.nan, evaluator.stats)
    return dict(zip(SUMMARY_NAMES, stats.tolist(), strict=True)), Evidence.of(evaluator)


def distinct_names(truth: CocoTruth) -> tuple[str, ...]:
    """Name of each category; namesakes are told apart by their ids."""
    uses = Counter(category.name for category in truth.categories)
    return tuple(
        category.name if uses[category.name] == 1 else f"{category.name} ({category.id})"
        for category in truth.categories
    )


def _reference_coco(truth: CocoTruth) -> COCO:
    """Objects get ids of their own from 1, because COCOeval takes the id 0 for "no match"."""
    annotations = [
        {
            "id": number,
            "image_id": item.image_id,
            "category_id": item.category_id,
            "bbox": list(item.box),
            "area": item.area,
            "iscrowd": int(item.is_crowd),
            "segmentation": item.segmentation,
        }
        for number, item in enumerate(truth.objects, start=1)
    ]
    return _coco(truth, annotations)


def _detections_coco(
    truth: CocoTruth, results: Sequence[dict], *, of: Literal["boxes", "masks"]
) -> COCO:
    annotations = []
    for number, result in enumerate(results, start=1):
        box, mask = result.get("bbox"), result.get("segmentation")
        score = result["score"]
        if of == "masks":
            score = result.get("mask_score", score)
        if box is not None and of == "boxes":
            area = box[2] * box[3]
        else:
            area = rle.area(result["segmentation"])
        annotations.append(
            {
                "id": number,
                "image_id": result["image_id"],
                "category_id": result["category_id"],
                "score": score,
                "bbox": rle.extent(result["segmentation"]) if box is None else box,
                "area": area,
                "iscrowd": 0,
                "segmentation": mask,
            }
        )
    return _coco(truth, annotations)


def _coco(truth: CocoTruth, annotations: list[dict]) -> COCO:
    coco: Any = COCO()
    coco.dataset = {
        "images": [
            {"id": key, "height": height, "width": width}
            for key, (height, width) in truth.image_sizes.items()
        ],
        "categories": [{"id": item.id, "name": item.name} for item in truth.categories],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


@contextlib.contextmanager
def _quiet():
    """Silences pycocotools, which reports its progress with ``print``."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
