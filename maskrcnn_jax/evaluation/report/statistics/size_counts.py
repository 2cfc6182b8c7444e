"""How many objects there are of each size, and how many of them were found."""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome

# COCO's own borders, 32 and 96, and halves and doubles around them.
_SIDES = (0, 16, 32, 64, 96, 192, 384, np.inf)


@dataclass(frozen=True, kw_only=True)
class SizeCount:
    """Of the objects whose area is in [low², high²), in pixels of the original image."""

    low: int
    high: int | None  # None: without end
    objects: int
    found: int


def size_counts(outcome: Outcome, *, threshold: float) -> list[SizeCount]:
    """Small first, without the empty ones at both ends."""
    found, areas = outcome.found, outcome.objects.areas
    is_found = np.zeros(len(areas), bool)
    is_found[found.objects[found.right & (found.scores >= threshold)]] = True
    borders = np.square(np.array(_SIDES, np.float64))
    totals, _ = np.histogram(areas, borders)
    hits, _ = np.histogram(areas[is_found], borders)
    occupied = np.flatnonzero(totals)
    if not len(occupied):
        return []
    return [
        SizeCount(
            low=int(_SIDES[i]),
            high=None if np.isinf(_SIDES[i + 1]) else int(_SIDES[i + 1]),
            objects=int(totals[i]),
            found=int(hits[i]),
        )
        for i in range(occupied[0], occupied[-1] + 1)
    ]
