"""The same evaluation by pycocotools itself, image by image and class by class."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.evidence import Matches
from maskrcnn_jax.evaluation.ground_truth import CocoTruth


def evaluated(
    truth: CocoTruth, results: Sequence[dict], iou_type: str, kind: type[COCOeval] = COCOeval
) -> Any:
    """The evaluator after its work; objects and results have their places, from 1, as ids.

    Masks are ranked by ``mask_score`` and have their own areas.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator: Any = kind(
            _coco(truth, _objects(truth)),
            _coco(truth, [_detection(item, iou_type) for item in results]),
            iou_type,
        )
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def summary(evaluator: Any) -> list[float]:
    return np.where(evaluator.stats < 0, np.nan, evaluator.stats).tolist()


def precision(evaluator: Any) -> np.ndarray:
    """As in ``Evidence``."""
    values = evaluator.eval["precision"][..., -1]
    return np.where(values < 0, np.nan, values)


def matches(evaluator: Any) -> Matches:
    """Of all sizes, at the lowest threshold, out of what is kept of each image and class."""
    params = evaluator.params
    shape = len(params.catIds), len(params.areaRng), len(params.imgIds)
    cells = np.array(evaluator.evalImgs, object).reshape(shape)[:, 0].ravel()
    cells = [item for item in cells if item is not None]
    counted = [np.compress(item["gtIgnore"] == 0, item["gtIds"]) for item in cells]
    return Matches(
        results=_joined([item["dtIds"] for item in cells]) - 1,
        objects=_joined([item["dtMatches"][0] for item in cells]) - 1,
        ignored=_joined([item["dtIgnore"][0] for item in cells]).astype(bool),
        counted=np.sort(_joined(counted)) - 1,
    )


def _joined(arrays: list) -> np.ndarray:
    return np.concatenate([np.zeros(0), *arrays]).astype(int)


def _objects(truth: CocoTruth) -> list[dict]:
    return [
        {
            "image_id": item.image_id,
            "category_id": item.category_id,
            "bbox": list(item.box),
            "area": item.area,
            "iscrowd": int(item.is_crowd),
            "segmentation": item.segmentation,
        }
        for item in truth.objects
    ]


def _detection(result: dict, iou_type: str) -> dict:
    box, mask = result.get("bbox"), result.get("segmentation")
    by_box = iou_type == "bbox"
    return {
        "image_id": result["image_id"],
        "category_id": result["category_id"],
        "score": result["score"] if by_box else result.get("mask_score", result["score"]),
        "bbox": rle.extent(result["segmentation"]) if box is None else box,
        "area": box[2] * box[3] if by_box and box else rle.area(result["segmentation"]),
        "iscrowd": 0,
        "segmentation": mask,
    }


def _coco(truth: CocoTruth, annotations: list[dict]) -> COCO:
    coco: Any = COCO()
    coco.dataset = {
        "images": [
            {"id": id, "height": height, "width": width}
            for id, (height, width) in truth.image_sizes.items()
        ],
        "categories": [{"id": item.id, "name": item.name} for item in truth.categories],
        "annotations": [item | {"id": place} for place, item in enumerate(annotations, start=1)],
    }
    coco.createIndex()
    return coco
