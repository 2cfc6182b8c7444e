"""How well masks fit the objects that were found, apart from whether they were found."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation import rle

MATCH_IOU = 0.5


def mean_matched_iou(references: COCO, detections: COCO, *, image_ids: Sequence[int]) -> float:
    """Mean IoU of the masks of all pairs of a detection and the object that its *box* found.

    Pairs are those of COCO's evaluation of boxes: same class, box IoU of at least ``MATCH_IOU``,
    higher scores choosing first, each object taken once, up to 100 detections per image and class,
    any score; crowds take no part. Every found object weighs the same. Because boxes decide, a bad
    mask lowers the mean instead of leaving it, as it would if masks had to match. NaN if nothing
    was found. Segmentations must be RLE.
    """
    overlaps = [
        rle.iou(found["segmentation"], true["segmentation"])
        for found, true in _box_matches(references, detections, image_ids=image_ids)
    ]
    return float(np.mean(overlaps)) if overlaps else float("nan")


def _box_matches(
    references: COCO, detections: COCO, *, image_ids: Sequence[int]
) -> Iterator[tuple[Any, Any]]:
    """One category at a time, on the images that show it: there may be 1203, few in an image."""
    evaluator = COCOeval(references, detections, "bbox")
    params: Any = evaluator.params  # its published types are those of empty lists
    params.iouThrs = np.array([MATCH_IOU])
    params.areaRng = params.areaRng[:1]  # all sizes
    images: dict[int, set[int]] = defaultdict(set)
    for item in references.dataset["annotations"]:
        images[item["category_id"]].add(item["image_id"])
    for category_id in sorted(images):
        params.catIds = [category_id]
        params.imgIds = sorted(images[category_id].intersection(image_ids))
        evaluator.evaluate()
        for image in filter(None, evaluator.evalImgs):
            pairs = zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True)
            for found, true, ignored in pairs:
                if true and not ignored:
                    yield detections.anns[found], references.anns[int(true)]
