"""What kind of mistake each wrong detection is, and which objects nobody came near.

The kinds are those of TIDE (Bolya et al., 2020, arXiv:2008.08115, section 2.2), and are asked for
in the order of its released code (tidecv 1.0, quantify.py), so that each detection has one. Here
they explain COCO's evaluation: right is what COCO matches at FOUND_IOU, among 100 detections of an
image *and category*, where TIDE takes 100 of an image. Detections in crowds take no part.
"""

import enum
from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.outcome import FOUND_IOU, NEAR_IOU, Outcome, Pairs


class Kind(enum.IntEnum):
    CLASS = 0  # overlaps an object of another category by FOUND_IOU
    LOCATION = 1  # overlaps an object of its category by NEAR_IOU, but not by FOUND_IOU
    BOTH = 2  # overlaps an object of another category by NEAR_IOU, and none of its own
    DUPLICATE = 3  # overlaps an object of its category that a better detection has found
    BACKGROUND = 4  # overlaps nothing by NEAR_IOU
    MISSED = 5  # not a detection, but an object: not found, and nothing points to it


# Kinds that point to the object that was meant.
_POINTING = (Kind.CLASS, Kind.LOCATION)


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    kinds: np.ndarray  # int [d], a Kind; -1: the detection is right
    meant: np.ndarray  # int [d], the object that an error of CLASS or LOCATION points to, or -1


def find_errors(outcome: Outcome) -> Errors:
    """Of several objects a detection points to the one that it overlaps most."""
    found, objects, pairs = outcome.found, outcome.objects, outcome.pairs
    is_own = found.labels[pairs.found] == objects.labels[pairs.objects]
    own_overlap, own = _best(pairs, is_own, len(found.scores))
    other_overlap, other = _best(pairs, ~is_own, len(found.scores))
    kinds = np.select(
        [
            found.right,
            (own_overlap >= NEAR_IOU) & (own_overlap < FOUND_IOU),
            other_overlap >= FOUND_IOU,
            own_overlap >= FOUND_IOU,
            other_overlap < NEAR_IOU,
        ],
        [-1, Kind.LOCATION, Kind.CLASS, Kind.DUPLICATE, Kind.BACKGROUND],
        default=Kind.BOTH,
    )
    meant = np.select([kinds == Kind.LOCATION, kinds == Kind.CLASS], [own, other], default=-1)
    return Errors(kinds=kinds, meant=meant)


def missed_objects(outcome: Outcome, errors: Errors, *, threshold: float = -np.inf) -> np.ndarray:
    """Bool [g]: what is MISSED where only detections that score ``threshold`` or more count."""
    chosen = outcome.found.scores >= threshold
    missed = np.ones(len(outcome.objects.labels), bool)
    missed[outcome.found.objects[chosen & outcome.found.right]] = False
    missed[errors.meant[chosen & np.isin(errors.kinds, _POINTING)]] = False
    return missed


def _best(pairs: Pairs, chosen: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest overlap [num] of each detection (0: none), and the object it is with (or -1)."""
    places = np.flatnonzero(chosen)
    keys = (pairs.objects[places], -pairs.overlaps[places], pairs.found[places])
    places = places[np.lexsort(keys)]
    detections, first = np.unique(pairs.found[places], return_index=True)
    overlaps, objects = np.zeros(num), np.full(num, -1)
    overlaps[detections] = pairs.overlaps[places[first]]
    objects[detections] = pairs.objects[places[first]]
    return overlaps, objects
