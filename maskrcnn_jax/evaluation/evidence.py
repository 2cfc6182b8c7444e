"""What the COCO numbers of one kind of overlap come from, in arrays.

Shapes: n detections, K categories in the order of their ids.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

# Those of COCOeval.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """Which object each detection found at the lowest IoU threshold.

    Detections are those that take part, at most 100 of an image and category, by category, image
    (in the order of ids) and score. Higher scores have chosen first.
    """

    results: np.ndarray  # int [n], index of the result record
    objects: np.ndarray  # int [n], index among the objects of the ground truth; -1: found none
    ignored: np.ndarray  # bool [n], found a crowd, and counts neither for nor against


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    precision: (
        np.ndarray
    )  # float [10 IoU thresholds, 101 recalls, K, 4 sizes (the first: all)]; NaN: no objects
    matches: Matches

    @classmethod
    def of(cls, evaluator: COCOeval) -> "Evidence":
        """Takes what is needed later; the evaluator itself holds a hundred times as much.

        Objects and results must have ids that count them from 1.
        """
        precision = evaluator.eval["precision"][..., -1]  # of most detections per image
        return cls(
            precision=np.where(precision < 0, np.nan, precision), matches=_matches(evaluator)
        )


def _matches(evaluator: Any) -> Matches:
    """Of all sizes, which are the first of the sizes of each category."""
    num_images, num_sizes = len(evaluator.params.imgIds), len(evaluator.params.areaRng)
    found = [
        item
        for start in range(0, len(evaluator.evalImgs), num_images * num_sizes)
        for item in evaluator.evalImgs[start : start + num_images]
        if item is not None
    ]

    def joined(arrays: list, kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *arrays]).astype(kind)

    return Matches(
        results=joined([item["dtIds"] for item in found], int) - 1,
        objects=joined([item["dtMatches"][0] for item in found], int) - 1,
        ignored=joined([item["dtIgnore"][0] for item in found], bool),
    )
