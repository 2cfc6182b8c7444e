"""How well masks fit the objects that were found, apart from whether they were found."""

from collections.abc import Sequence

import numpy as np

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.evidence import Matches
from maskrcnn_jax.evaluation.ground_truth import TrueObject


def mean_matched_iou(
    boxes: Matches, results: Sequence[dict], objects: Sequence[TrueObject]
) -> float:
    """Mean IoU of the masks of all pairs of a detection and the object that its *box* found.

    ``boxes`` are the matches of COCO's evaluation of boxes: same class, box IoU of .5 at least,
    higher scores choosing first, each object taken once, any score; crowds take no part. Every
    found object weighs the same. Because boxes decide, a bad mask lowers the mean instead of
    leaving it, as it would if masks had to match. NaN if nothing was found. Segmentations must be
    RLE.
    """
    pairs = np.stack([boxes.results, boxes.objects], axis=1)[(boxes.objects >= 0) & ~boxes.ignored]
    overlaps = [
        rle.iou(results[found]["segmentation"], objects[true].segmentation)
        for found, true in pairs.tolist()
    ]
    return float(np.mean(overlaps)) if overlaps else float("nan")
