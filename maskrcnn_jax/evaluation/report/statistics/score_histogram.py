"""Scores of right and of wrong detections."""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome

_NUM_BINS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreHistogram:
    borders: np.ndarray  # float [21]
    right: np.ndarray  # int [20]
    wrong: np.ndarray  # int [20]


def score_histogram(outcome: Outcome) -> ScoreHistogram:
    """From 0 to 1, or to the extremes where scores are no probabilities."""
    found = outcome.found
    low, high = found.scores.min(initial=0), found.scores.max(initial=1)
    borders = np.linspace(low, high, _NUM_BINS + 1)
    right, wrong = (
        np.histogram(found.scores[chosen], borders)[0] for chosen in (found.right, ~found.right)
    )
    return ScoreHistogram(borders=borders, right=right, wrong=wrong)
