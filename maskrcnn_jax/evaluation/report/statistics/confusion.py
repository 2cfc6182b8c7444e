"""Which categories are taken for which.

Shapes: K categories; index K stands for nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.outcome import FOUND_IOU, Outcome


def confusion_matrix(outcome: Outcome, *, threshold: float) -> np.ndarray:
    """Counts int [K + 1, K + 1]: rows are what it is, columns what it is taken for.

    Each object and each detection that scores ``threshold`` or more is counted once. First come the
    pairs of COCO's evaluation at FOUND_IOU, on the diagonal. Then objects and detections that are
    left make pairs of any two categories, the largest overlap first, down to FOUND_IOU. Who is
    still alone was missed (last column), or is background that was taken for an object (last row).
    """
    found, objects, nothing = outcome.found, outcome.objects, outcome.num_categories
    is_free = found.scores >= threshold
    taken_for = np.full(len(objects.labels), nothing)
    right = np.flatnonzero(is_free & found.right)
    taken_for[found.objects[right]] = found.labels[right]
    is_free[right] = False
    detections, others = one_to_one(outcome, is_free, taken_for == nothing)
    taken_for[others] = found.labels[detections]
    is_free[detections] = False
    matrix = np.zeros((nothing + 1, nothing + 1), int)
    np.add.at(matrix, (objects.labels, taken_for), 1)
    np.add.at(matrix[nothing], found.labels[is_free], 1)
    return matrix


def one_to_one(
    outcome: Outcome, detections: np.ndarray, objects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of the chosen (bool [d] and [g]) that overlap by FOUND_IOU, the largest overlap first.

    Nobody is in two pairs. In each round all pairs are taken that are the best of both partners,
    which is what going through them one by one gives.
    """
    pairs, free = outcome.pairs, (detections.copy(), objects.copy())
    is_possible = pairs.overlaps >= FOUND_IOU
    is_possible &= free[0][pairs.found] & free[1][pairs.objects]
    keys = (pairs.objects, pairs.found, -pairs.overlaps)
    left = np.lexsort(keys)
    left = left[is_possible[left]]
    taken = [np.zeros(0, int)]
    while len(left):
        sides = pairs.found[left], pairs.objects[left]
        best = left[_is_first(sides[0]) & _is_first(sides[1])]
        free[0][pairs.found[best]] = False
        free[1][pairs.objects[best]] = False
        taken.append(best)
        left = left[free[0][sides[0]] & free[1][sides[1]]]
    chosen = np.concatenate(taken)
    return pairs.found[chosen], pairs.objects[chosen]


@dataclass(frozen=True, kw_only=True)
class Mistaken:
    """Objects of one category that were taken for another."""

    true: int
    taken_for: int
    count: int
    share: float  # of the objects of the true category


def most_mistaken(matrix: np.ndarray) -> Iterator[Mistaken]:
    """All pairs of two categories that occur, the most frequent first, then the largest share."""
    between = matrix[:-1, :-1] * ~np.eye(len(matrix) - 1, dtype=bool)
    rows, columns = np.nonzero(between)
    counts = between[rows, columns]
    shares = counts / matrix.sum(axis=1)[rows]
    for i in np.lexsort((-shares, -counts)):
        yield Mistaken(
            true=int(rows[i]),
            taken_for=int(columns[i]),
            count=int(counts[i]),
            share=float(shares[i]),
        )


def condensed(matrix: np.ndarray, *, num: int) -> tuple[list[int], np.ndarray]:
    """The categories most often confused with another, at most ``num``, and their own matrix.

    Its rows and columns are those categories in their order, then nothing. Where some are left out,
    all of them together come before nothing. Categories that are neither there nor found are never
    chosen.
    """
    num_categories = len(matrix) - 1
    between = matrix[:-1, :-1] * ~np.eye(num_categories, dtype=bool)
    confused = between.sum(axis=0) + between.sum(axis=1)
    occurs = matrix.sum(axis=0)[:-1] + matrix.sum(axis=1)[:-1]
    ranking = np.lexsort((-occurs, -confused))
    chosen = sorted(int(label) for label in ranking[:num] if occurs[label])
    place = np.full(num_categories + 1, len(chosen))
    place[chosen] = np.arange(len(chosen))
    has_others = np.any(occurs[np.isin(np.arange(num_categories), chosen, invert=True)])
    place[-1] += has_others
    small = np.zeros((place[-1] + 1, place[-1] + 1), int)
    np.add.at(small, np.ix_(place, place), matrix)
    return chosen, small


def _is_first(values: np.ndarray) -> np.ndarray:
    """Bool: no equal value comes before."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
