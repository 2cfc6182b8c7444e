"""Precision by recall, out of matches: the rules of ``COCOeval.accumulate`` of pycocotools.

Shapes: n detections, g objects, k categories, a ranges of areas, t IoU thresholds, r recalls, m
numbers of detections of a cell.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.evaluation.instances import Cells, Detections, Objects
from maskrcnn_jax.evaluation.matching import AREAS, IOU_THRESHOLDS, Matching

RECALLS = np.linspace(0, 1, 101)  # those of COCOeval


class Curves(NamedTuple):
    """NaN where there is nothing to find."""

    precision: Float[np.ndarray, "t r k a"]  # the highest at this recall or a higher one; else 0
    recall: Float[np.ndarray, "t k a m"]  # of so many best detections of each cell


def curves(
    matching: Matching,
    detections: Detections,
    objects: Objects,
    *,
    cells: Cells,
    numbers: Sequence[int],
) -> Curves:
    """``numbers`` of best detections of each cell, for the recalls."""
    shape = len(IOU_THRESHOLDS), len(cells.category_ids), len(AREAS)
    precision = np.full((shape[0], len(RECALLS), *shape[1:]), np.nan)
    recall = np.full((*shape, len(numbers)), np.nan)
    ranks = detections.ranks()
    theirs, true = (cells.borders(item.cells) for item in (detections, objects))
    for category in range(len(cells.category_ids)):
        rows = slice(*theirs[category : category + 2])
        counted = matching.counted[:, slice(*true[category : category + 2])].sum(axis=1)
        best_first = rows.start + np.argsort(-detections.scores[rows], kind="stable")
        for area in np.flatnonzero(counted):
            ignored = matching.ignored[area][:, best_first]
            found = matching.found[area][:, best_first]
            right, wrong = found & ~ignored, ~found & ~ignored
            precision[:, :, category, area] = _precision(right, wrong, counted[area])
            for place, number in enumerate(numbers):
                of_best = right & (ranks[best_first] < number)
                recall[:, category, area, place] = of_best.sum(axis=1) / counted[area]
    return Curves(precision, recall)


def _precision(
    right: Bool[np.ndarray, "t n"], wrong: Bool[np.ndarray, "t n"], num_objects: Int[np.ndarray, ""]
) -> Float[np.ndarray, "t r"]:
    """Of one category, whose detections stand by score."""
    hits, misses = (np.cumsum(item, axis=1).astype(float) for item in (right, wrong))
    values = hits / (misses + hits + np.spacing(1))
    highest = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
    reached = np.pad(highest, ((0, 0), (0, 1)))  # what is never reached has 0
    places = [np.searchsorted(recall, RECALLS) for recall in hits / num_objects]
    return np.take_along_axis(reached, np.array(places), axis=1)


def mean_defined(values: np.ndarray) -> float:
    """Mean of those that are not NaN; NaN where all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
