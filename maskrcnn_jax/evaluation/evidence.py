"""What the COCO numbers of one kind of overlap come from, in arrays.

Shapes: n detections, g objects, K categories in the order of their ids.
"""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.instances import Detections, Objects
from maskrcnn_jax.evaluation.matching import Matching


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


def matches_of(matching: Matching, detections: Detections, objects: Objects) -> Matches:
    """Of all sizes, at the lowest IoU threshold."""
    found = matching.objects >= 0
    chosen = np.full(len(found), -1)
    chosen[found] = objects.indices[matching.objects[found]]
    return Matches(
        results=detections.indices,
        objects=chosen,
        ignored=matching.ignored[0, 0],
        counted=np.sort(objects.indices[matching.counted[0]]),
    )
