"""Which detection finds which object, by COCO's rules, for all images and categories at once.

In each cell the detections choose one after the other, the best score first. Each takes the object
that it overlaps most, of those that nobody has taken, if they overlap enough; of equal ones the
last. Objects that do not count (crowds, and those of another size) are taken only where no other
one fits, and detections that take them, or take nothing and have another size, do not count either.
A crowd can be taken any number of times. The rules are those of ``COCOeval.evaluateImg`` of
pycocotools. Shapes: n detections, g objects, p pairs that overlap, a ranges of areas, t IoU
thresholds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.evaluation.instances import Detections, Objects
from maskrcnn_jax.evaluation.overlaps import Overlaps

# Those of COCOeval. Areas in pixels: all, small, medium, large.
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = np.array([[0, 1e5**2], [0, 32**2], [32**2, 96**2], [96**2, 1e5**2]])

_COUNTS = 2**62  # more than the bits of any float from 0 to 1, seen as an integer


@dataclass(frozen=True, kw_only=True, eq=False)
class Matching:
    found: Bool[np.ndarray, "a t n"]  # whether a detection takes an object
    ignored: Bool[np.ndarray, "a t n"]  # of detections: count neither for nor against
    counted: Bool[np.ndarray, "a g"]  # of objects: are to be found
    objects: Int[np.ndarray, "n"]  # taken, of all sizes and at the lowest threshold; -1: none


def match(
    overlaps: Overlaps, detections: Detections, objects: Objects, *, lenient: Bool[np.ndarray, "n"]
) -> Matching:
    """Matches detections; ``lenient``, where one that finds nothing does not count."""
    counted = ~(objects.crowds | _outside(objects.areas))
    found = np.zeros((len(AREAS), len(IOU_THRESHOLDS), len(detections.cells)), bool)
    ignored = np.zeros_like(found)
    taken = np.zeros((*found.shape[:2], len(objects.cells)), bool)
    chosen = np.full(len(detections.cells), -1)
    for turn in _turns(overlaps, detections.cells):
        rows, takes, choice = _choose(turn, counted, taken)
        area, threshold, place = np.nonzero(takes)
        object_ = choice[takes]
        taken[area, threshold, object_] = ~objects.crowds[object_]
        found[area, threshold, rows[place]] = True
        ignored[area, threshold, rows[place]] = ~counted[area, object_]
        chosen[rows] = np.where(takes[0, 0], choice[0, 0], -1)
    ignored |= ~found & (_outside(detections.areas)[:, None] | lenient)
    return Matching(found=found, ignored=ignored, counted=counted, objects=chosen)


def _outside(areas: Float[np.ndarray, "n"]) -> Bool[np.ndarray, "a n"]:
    return (areas < AREAS[:, :1]) | (areas > AREAS[:, 1:])


def _turns(overlaps: Overlaps, cells: Int[np.ndarray, "n"]) -> Iterator[Overlaps]:
    """First the pairs of the first detection of each cell, then of the second, and so on.

    Counted are detections that overlap anything: others take nothing from anybody.
    """
    rows, places = np.unique(overlaps.detections, return_inverse=True)
    turns = (np.arange(len(rows)) - np.searchsorted(cells[rows], cells[rows]))[places]
    order = np.argsort(turns, kind="stable")
    borders = np.searchsorted(turns[order], np.arange(1, turns.max(initial=0) + 1))
    for part in np.split(order, borders):
        if len(part):
            yield Overlaps(*(array[part] for array in overlaps))


def _choose(
    pairs: Overlaps, counted: Bool[np.ndarray, "a g"], taken: Bool[np.ndarray, "a t g"]
) -> tuple[Int[np.ndarray, "r"], Bool[np.ndarray, "a t r"], Int[np.ndarray, "a t r"]]:
    """Of the detections of ``pairs``: their rows, whether they take an object, and which one."""
    starts = np.flatnonzero(np.diff(pairs.detections, prepend=-1))
    lengths = np.diff(starts, append=len(pairs.detections))
    # As in COCOeval a threshold of 1 would be a little lower.
    overlaps_enough = pairs.ious >= np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]
    # Positive floats have the order of their bits as integers.
    merit = pairs.ious.view(np.int64) + np.where(counted[:, pairs.objects], _COUNTS, 0)
    merit = np.where(overlaps_enough & ~taken[:, :, pairs.objects], merit[:, None], -1)
    best = np.maximum.reduceat(merit, starts, axis=-1)
    is_best = merit == np.repeat(best, lengths, axis=-1)
    last = np.maximum.reduceat(np.where(is_best, np.arange(len(pairs.ious)), -1), starts, axis=-1)
    return pairs.detections[starts], best >= 0, pairs.objects[last]
