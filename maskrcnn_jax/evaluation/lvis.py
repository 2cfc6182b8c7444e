"""LVIS's rules: COCO's evaluation, where not every category was looked for in every image.

Of an image the 300 best detections of all categories count. A category is scored on the images in
which it was looked for: where it is annotated, and where it is known to be absent. Where it is
annotated in part, detections that find nothing count neither for nor against. Objects and
detections without area are left out. The numbers are those of the package ``lvis`` (0.5.3,
``lvis/eval.py``), to the last digit. Shapes: t IoU thresholds, r recalls, k categories, a ranges of
areas.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.data.federation import FREQUENCIES, Federation
from maskrcnn_jax.evaluation.evidence import Evidence

MAX_DETECTIONS = 300  # of an image

# s m l: areas as in COCO; r c f: means over rare, common and frequent categories.
SUMMARY_NAMES = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf"),
    *("AR300", "ARs", "ARm", "ARl"),
)


def evaluate_federated(
    evaluator: COCOeval, *, image_ids: Collection[int], federation: Federation
) -> tuple[dict[str, float], Evidence]:
    """The summary by ``SUMMARY_NAMES``, NaN where there is nothing to find, and its evidence.

    One category is evaluated at a time, on its own images: of 1203 categories an image has a few.
    """
    given: Any = evaluator  # its published types are those of COCO's own files
    given.params.maxDets = [MAX_DETECTIONS]
    objects = [item for item in given.cocoGt.dataset["annotations"] if item["area"] > 0]
    best = _best_of_images(given.cocoDt.dataset["annotations"])
    given.cocoGt = _with_annotations(given.cocoGt, objects)
    given.cocoDt = _with_annotations(given.cocoDt, [item for item in best if item["area"] > 0])
    images = _images_of_categories(objects, federation, image_ids)
    category_ids = list(given.params.catIds)
    results = [_evaluate_category(evaluator, id, images[id], federation) for id in category_ids]
    evidence = Evidence.joined([of_category for of_category, _ in results])
    recall = np.stack([of_category for _, of_category in results], axis=-2)
    # With labels by category id there are categories for unused ids, too.
    frequencies = [federation.frequencies.get(id, "") for id in category_ids]
    thresholds = given.params.iouThrs
    return (
        _summary(evidence.precision, recall, thresholds=thresholds, frequencies=frequencies),
        evidence,
    )


def _best_of_images(detections: Iterable[dict]) -> list[dict]:
    """The ``MAX_DETECTIONS`` best of each image; of equal ones those that come first."""
    of_images: dict[int, list[dict]] = defaultdict(list)
    for item in detections:
        of_images[item["image_id"]].append(item)
    return [
        item
        for items in of_images.values()
        for item in sorted(items, key=lambda item: -item["score"])[:MAX_DETECTIONS]
    ]


def _with_annotations(coco: COCO, annotations: list[dict]) -> COCO:
    changed: Any = COCO()
    changed.dataset = {**coco.dataset, "annotations": annotations}
    changed.createIndex()
    return changed


def _images_of_categories(
    objects: Iterable[dict], federation: Federation, image_ids: Collection[int]
) -> dict[int, set[int]]:
    """Of ``image_ids``, those in which somebody has looked for a category, by its id."""
    images: dict[int, set[int]] = defaultdict(set)
    for item in objects:
        images[item["category_id"]].add(item["image_id"])
    for image_id in image_ids:
        for category_id in federation.absent[image_id]:
            images[category_id].add(image_id)
    chosen = set(image_ids)
    return defaultdict(set, {id: found & chosen for id, found in images.items()})


def _evaluate_category(
    evaluator: COCOeval, category_id: int, image_ids: Collection[int], federation: Federation
) -> tuple[Evidence, Float[np.ndarray, "t a"]]:
    """The evidence of one category, and recalls; -1 where there is no object."""
    params: Any = evaluator.params
    params.catIds, params.imgIds = [category_id], sorted(image_ids)
    evaluator.evaluate()
    of_images: Any = evaluator.evalImgs
    for image in filter(None, of_images):
        if category_id in federation.not_exhaustive[image["image_id"]]:
            image["dtIgnore"] |= image["dtMatches"] == 0
    evaluator.accumulate()
    return Evidence.of(evaluator), evaluator.eval["recall"][:, 0, :, 0]


def _summary(
    precision: Float[np.ndarray, "t r k a"],
    recall: Float[np.ndarray, "t k a"],
    *,
    thresholds: Float[np.ndarray, "t"],
    frequencies: Sequence[str],
) -> dict[str, float]:
    at = {level: thresholds == level for level in (0.5, 0.75)}
    groups = [np.array(frequencies) == frequency for frequency in FREQUENCIES]
    values = (
        *(precision[..., 0], precision[at[0.5], ..., 0], precision[at[0.75], ..., 0]),
        *(precision[..., area] for area in (1, 2, 3)),
        *(precision[:, :, group, 0] for group in groups),
        *(recall[..., area] for area in range(4)),
    )
    return dict(zip(SUMMARY_NAMES, map(_mean, values), strict=True))


def _mean(values: np.ndarray) -> float:
    """Of what is defined; NaN where nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")
