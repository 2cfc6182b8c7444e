"""What the COCO numbers of one kind of overlap come from, in arrays.

Shapes: n detections, g objects, K categories in the order of their ids.
"""

from collections.abc import Sequence
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

    Detections are those that take part, at most 100 of an image and category (by LVIS's rules 300
    of an image), by category, image (in the order of ids) and score. Higher scores have chosen
    first.
    """

    results: np.ndarray  # int [n], index of the result record
    objects: np.ndarray  # int [n], index among the objects of the ground truth; -1: found none
    ignored: np.ndarray  # bool [n], counts neither for nor against, as in a crowd
    counted: np.ndarray  # int [g], all objects that are to be found, in their order


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    # float [10 IoU thresholds, 101 recalls, K, 4 sizes (the first: all)]; NaN: no objects
    precision: np.ndarray
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

    @classmethod
    def joined(cls, parts: Sequence["Evidence"]) -> "Evidence":
        """Of categories that were evaluated one by one, in their order."""
        matches = [part.matches for part in parts]
        return cls(
            precision=np.concatenate([part.precision for part in parts], axis=2),
            matches=Matches(
                results=np.concatenate([item.results for item in matches]),
                objects=np.concatenate([item.objects for item in matches]),
                ignored=np.concatenate([item.ignored for item in matches]),
                counted=np.sort(np.concatenate([item.counted for item in matches])),
            ),
        )


def _matches(evaluator: Any) -> Matches:
    params = evaluator.params
    shape = (len(params.catIds), len(params.areaRng), len(params.imgIds))
    of_all_sizes = np.array(evaluator.evalImgs, object).reshape(shape)[:, 0].ravel()
    pairs = [item for item in of_all_sizes if item is not None]
    counted = _joined([np.compress(item["gtIgnore"] == 0, item["gtIds"]) for item in pairs], int)
    return Matches(
        results=_joined([item["dtIds"] for item in pairs], int) - 1,
        objects=_joined([item["dtMatches"][0] for item in pairs], int) - 1,
        ignored=_joined([item["dtIgnore"][0] for item in pairs], bool),
        counted=np.sort(counted) - 1,
    )


def _joined(arrays: list, kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, kind), *arrays]).astype(kind)
