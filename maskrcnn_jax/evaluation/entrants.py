"""Which detections and objects take part in COCO's evaluation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from maskrcnn_jax.evaluation.instances import Detections, Objects

MAX_DETECTIONS = 100  # of a category and an image


class Entrants(NamedTuple):
    detections: Detections
    objects: Objects
    lenient: Bool[np.ndarray, "n"]  # detections that do not count if they find nothing


def entrants(detections: Detections, objects: Objects) -> Entrants:
    """All objects, and the best detections of each cell."""
    best = detections.at(detections.ranks() < MAX_DETECTIONS)
    return Entrants(detections=best, objects=objects, lenient=np.zeros(len(best.indices), bool))
