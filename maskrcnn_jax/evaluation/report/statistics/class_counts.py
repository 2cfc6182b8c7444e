"""What was found, wrong and missed of each category.

Shapes: K categories.
"""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.error_kinds import Errors, Kind, missed_objects
from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassCounts:
    """Where only detections that score a threshold or more count."""

    objects: np.ndarray  # int [K]
    found: np.ndarray  # int [K], objects that were found, which is also the right detections
    # Int [K, 6 Kinds]: detections by their own category, and objects by theirs.
    errors: np.ndarray

    @property
    def detections(self) -> np.ndarray:
        """Int [K]."""
        return self.found + self.errors[:, : Kind.MISSED].sum(axis=1)


def class_counts(outcome: Outcome, errors: Errors, *, threshold: float) -> ClassCounts:
    """Counts by category; their sums are the counts of all."""
    found, num = outcome.found, outcome.num_categories
    counts = found.scores >= threshold
    wrong = counts & ~found.right
    table = np.zeros((num, len(Kind)), int)
    np.add.at(table, (found.labels[wrong], errors.kinds[wrong]), 1)
    missed = missed_objects(outcome, errors, threshold=threshold)
    table[:, Kind.MISSED] = np.bincount(outcome.objects.labels[missed], minlength=num)
    return ClassCounts(
        objects=outcome.num_objects,
        found=np.bincount(found.labels[counts & found.right], minlength=num),
        errors=table,
    )
