"""LVIS's rules: COCO's evaluation, where not every category was looked for in every image.

Of an image the 300 best detections of all categories count. A category is scored on the images in
which it was looked for: where it is annotated, and where it is known to be absent. Where it is
annotated in part, detections that find nothing count neither for nor against. Objects and
detections without area are left out. The numbers are those of the package ``lvis`` (0.5.3,
``lvis/eval.py``), to the last digit.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from maskrcnn_jax.data.federation import FREQUENCIES, Federation
from maskrcnn_jax.evaluation.entrants import Entrants
from maskrcnn_jax.evaluation.instances import Cells, Detections, Objects
from maskrcnn_jax.evaluation.matching import IOU_THRESHOLDS
from maskrcnn_jax.evaluation.precision import Curves, mean_defined

MAX_DETECTIONS = 300  # of an image

# s m l: areas as in COCO; r c f: means over rare, common and frequent categories.
SUMMARY_NAMES = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"),
    *("AR300", "ARs", "ARm", "ARl"),
)


def entrants(
    detections: Detections, objects: Objects, *, cells: Cells, federation: Federation
) -> Entrants:
    """Those of them that take part."""
    objects = objects.at(objects.areas > 0)
    detections = detections.at(_are_best_of_images(detections, cells) & (detections.areas > 0))
    looked_for = np.union1d(objects.cells, _cells_of(federation.absent, cells))
    detections = detections.at(np.isin(detections.cells, looked_for))
    lenient = np.isin(detections.cells, _cells_of(federation.not_exhaustive, cells))
    return Entrants(detections=detections, objects=objects, lenient=lenient)


def summary(found: Curves, *, cells: Cells, federation: Federation) -> dict[str, float]:
    """By ``SUMMARY_NAMES``; NaN where there is nothing to find."""
    # With labels by category id there are categories for unused ids, too.
    frequencies = [federation.frequencies.get(id, "") for id in cells.category_ids.tolist()]
    groups = [np.array(frequencies) == frequency for frequency in FREQUENCIES]
    at = {level: level == IOU_THRESHOLDS for level in (0.5, 0.75)}
    precision, recall = found.precision, found.recall[..., -1]
    values = (
        *(precision[..., 0], precision[at[0.5], ..., 0], precision[at[0.75], ..., 0]),
        *(precision[..., area] for area in (1, 2, 3)),
        *(precision[:, :, group, 0] for group in groups),
        *(recall[..., area] for area in range(4)),
    )
    return dict(zip(SUMMARY_NAMES, map(mean_defined, values), strict=True))


def _are_best_of_images(detections: Detections, cells: Cells) -> Bool[np.ndarray, "n"]:
    """The ``MAX_DETECTIONS`` best of each image; of equal ones those that were given first."""
    images = detections.cells % max(len(cells.image_ids), 1)
    order = np.lexsort((detections.indices, -detections.scores, images))
    best = np.zeros(len(order), bool)
    best[order] = np.arange(len(order)) - np.searchsorted(images[order], images[order]) < (
        MAX_DETECTIONS
    )
    return best


def _cells_of(categories: Mapping[int, Sequence[int]], cells: Cells) -> Int[np.ndarray, "c"]:
    """The cells of an image's categories; some may be -1, of others."""
    pairs = [(category, image) for image, found in categories.items() for category in found]
    category_ids, image_ids = zip(*pairs, strict=True) if pairs else ((), ())
    return cells.of(category_ids, image_ids)
