"""How well each image was done, to show the worst and the best.

Shapes: d detections, i images, p pairs of a detection and an object.
"""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.evaluation.report.statistics.outcome import Outcome


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageQuality:
    """One entry for each image; detections below a threshold do not count."""

    found: np.ndarray  # int [i], objects that were found
    missed: np.ndarray  # int [i], objects that were not
    wrong: np.ndarray  # int [i], detections that found no object, duplicates among them
    overlaps: np.ndarray  # float [i], sum of the IoU of all that was found

    @property
    def quality(self) -> np.ndarray:
        """Sum of the IoU of what was found over found + wrong/2 + missed/2, in [0, 1].

        The form of panoptic quality (Kirillov et al., 2019, arXiv:1801.00868), with all categories
        counted together. NaN where there is nothing to find and nothing was found.
        """
        count = self.found + (self.wrong + self.missed) / 2
        return np.where(count > 0, self.overlaps / np.where(count > 0, count, 1), np.nan)

    def ranking(self) -> np.ndarray:
        """Indices of the images with a quality, the worst first.

        Of equal ones, that with more mistakes is worse, and then that with fewer objects found.
        """
        mistakes = self.wrong + self.missed
        order = np.lexsort((self.found, -mistakes, self.quality))
        return order[~np.isnan(self.quality[order])]


def image_quality(outcome: Outcome, *, threshold: float) -> ImageQuality:
    """Right is what COCO's evaluation counts as right at FOUND_IOU."""
    found, objects, num_images = outcome.found, outcome.objects, len(outcome.image_ids)
    counts = found.scores >= threshold

    def per_image(images: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(images, weights, minlength=num_images)

    num_found = per_image(found.images[counts & found.right])
    return ImageQuality(
        found=num_found,
        missed=per_image(objects.images) - num_found,
        wrong=per_image(found.images[counts & ~found.right]),
        overlaps=per_image(found.images, matched_overlaps(outcome) * counts),
    )


def matched_overlaps(outcome: Outcome) -> np.ndarray:
    """IoU [d] of each right detection with the object that it found; 0 of a wrong one."""
    found, pairs = outcome.found, outcome.pairs
    matched = found.objects[pairs.found] == pairs.objects
    overlaps = np.zeros(len(found.scores))
    overlaps[pairs.found[matched]] = pairs.overlaps[matched]
    return overlaps
