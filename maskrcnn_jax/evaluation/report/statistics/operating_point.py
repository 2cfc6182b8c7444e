"""The score from which detections are worth showing, and what is right and wrong from there on."""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome

# Where no threshold is better than another; the one of predict.py.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class ThresholdCurves:
    """What there would be if only detections with such a score or a better one counted.

    One entry for each score that occurs, best first; all categories are counted together.
    """

    thresholds: np.ndarray
    precision: np.ndarray  # share of the detections that are right
    recall: np.ndarray  # share of the objects that are found; NaN without objects

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall; 0 where nothing is right."""
        both = self.precision + self.recall
        return np.where(both > 0, 2 * self.precision * self.recall / np.where(both > 0, both, 1), 0)

    def places(self, thresholds: np.ndarray) -> np.ndarray:
        """Which entry holds where detections with such a score or a better one count.

        -1 where there are none.
        """
        return np.searchsorted(-self.thresholds, -thresholds, side="right") - 1

    def best_threshold(self) -> float:
        """Where F1 is largest, the highest of several; ``DEFAULT_THRESHOLD`` where it is 0."""
        if not self.f1.any():
            return DEFAULT_THRESHOLD
        return float(self.thresholds[np.argmax(self.f1)])


def threshold_curves(outcome: Outcome) -> ThresholdCurves:
    """Right is what COCO's evaluation counts as right at FOUND_IOU.

    That does not depend on the threshold: higher scores choose first.
    """
    found = outcome.found
    best_first = np.argsort(-found.scores, kind="stable")
    scores = found.scores[best_first]
    num_right = np.cumsum(found.right[best_first])
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # of detections with equal scores
    num_objects = len(outcome.objects.labels)
    return ThresholdCurves(
        thresholds=scores[last],
        precision=num_right[last] / (last + 1),
        recall=num_right[last] / num_objects if num_objects else np.full(len(last), np.nan),
    )
