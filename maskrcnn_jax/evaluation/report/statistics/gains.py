"""What AP would be without the errors of one kind: which of them it is worth while to mend.

As TIDE's oracles do (Bolya et al., 2020, arXiv:2008.08115, section 2.3; tidecv 1.0, error.py), each
kind is mended alone. As in COCO, and not as in tidecv, a category without objects takes no part:
one whose objects are all missed takes none once that is mended.
"""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.precision import RECALLS
from maskrcnn_jax.evaluation.report.statistics.error_kinds import Errors, Kind, missed_objects
from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """All that AP at one overlap depends on."""

    labels: np.ndarray  # int [d]
    scores: np.ndarray  # float [d]
    right: np.ndarray  # bool [d]
    num_objects: np.ndarray  # int [K]


def ranking_of(outcome: Outcome) -> Ranking:
    """As it is, with nothing mended."""
    found = outcome.found
    return Ranking(
        labels=found.labels,
        scores=found.scores,
        right=found.right,
        num_objects=outcome.num_objects,
    )


def gains(outcome: Outcome, errors: Errors) -> dict[Kind, float]:
    """What AP at FOUND_IOU would gain; NaN where it is undefined, for want of objects."""
    base = mean_average_precision(ranking_of(outcome))
    return {
        kind: max(mean_average_precision(mended(outcome, errors, kind)) - base, 0)
        if not np.isnan(base)
        else base
        for kind in Kind
    }


def mended(outcome: Outcome, errors: Errors, kind: Kind) -> Ranking:
    """Wrong detections of a kind are put right, or taken away where that makes no right one.

    An error of class or localisation is put right by giving it the object that it points to. Each
    object that was not found takes the best scored of all that point to it, of either kind. Missed
    objects are taken out of the count of what is to be found.
    """
    found, objects = outcome.found, outcome.objects
    labels, right, num_objects = found.labels, found.right, outcome.num_objects
    stays = errors.kinds != kind
    if kind in (Kind.CLASS, Kind.LOCATION):
        mendable = _best_pointing(outcome, errors) & ~stays
        labels = labels.copy()
        labels[mendable] = objects.labels[errors.meant[mendable]]
        right, stays = right | mendable, stays | mendable
    elif kind == Kind.MISSED:
        missed = objects.labels[missed_objects(outcome, errors)]
        num_objects = num_objects - np.bincount(missed, minlength=len(num_objects))
    return Ranking(
        labels=labels[stays],
        scores=found.scores[stays],
        right=right[stays],
        num_objects=num_objects,
    )


def mean_average_precision(ranking: Ranking) -> float:
    """Mean over the categories with objects, as COCO's AP at one overlap; NaN without any."""
    order = np.argsort(ranking.labels, kind="stable")
    borders = np.searchsorted(ranking.labels[order], np.arange(len(ranking.num_objects) + 1))
    values = [
        _average_precision(ranking, order[borders[label] : borders[label + 1]], num_objects)
        for label, num_objects in enumerate(ranking.num_objects)
        if num_objects
    ]
    return float(np.mean(values)) if values else float("nan")


def _average_precision(ranking: Ranking, places: np.ndarray, num_objects: int) -> float:
    """Mean, over 101 recalls, of the best precision at that recall or more."""
    best_first = places[np.argsort(-ranking.scores[places], kind="stable")]
    num_right = np.cumsum(ranking.right[best_first])
    precision = num_right / np.arange(1, len(places) + 1)
    reachable = np.maximum.accumulate(precision[::-1])[::-1]
    needed = np.searchsorted(num_right / num_objects, RECALLS)  # detections before a recall
    return float(np.append(reachable, 0)[needed].mean())


def _best_pointing(outcome: Outcome, errors: Errors) -> np.ndarray:
    """Bool [d]: points to an object that was not found, with the best score of all that do."""
    is_found = np.zeros(len(outcome.objects.labels), bool)
    is_found[outcome.found.objects[outcome.found.right]] = True
    pointing = np.flatnonzero(errors.meant >= 0)
    pointing = pointing[~is_found[errors.meant[pointing]]]
    best_first = pointing[np.argsort(-outcome.found.scores[pointing], kind="stable")]
    _, first = np.unique(errors.meant[best_first], return_index=True)
    best = np.zeros(len(errors.meant), bool)
    best[best_first[first]] = True
    return best
