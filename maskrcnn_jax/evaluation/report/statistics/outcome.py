"""What there was to find and what was found in all images, in arrays that statistics are made of.

Shapes: d detections, g objects, i images, p pairs of a detection and an object that overlap.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pycocotools.mask

from maskrcnn_jax.evaluation.evidence import Matches
from maskrcnn_jax.evaluation.ground_truth import CocoTruth, TrueObject

# IoU from which a detection has found an object, COCO's lowest; and from which it has at least to
# do with it (Bolya et al., 2020, TIDE, arXiv:2008.08115, section 2.2).
FOUND_IOU = 0.5
NEAR_IOU = 0.1

# The key of what overlaps in a result record.
Shape: TypeAlias = Literal["bbox", "segmentation"]

_coco: Any = pycocotools.mask  # its published types do not know text


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects:
    """Crowds are not among them."""

    images: np.ndarray  # int [g], index into Outcome.image_ids
    labels: np.ndarray  # int [g], index of the category
    areas: np.ndarray  # float [g], square pixels of the original image
    indices: np.ndarray  # int [g], among all objects of the ground truth


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Detections, in the order of ``Matches``. Those that COCO ignores are not among them."""

    images: np.ndarray  # int [d]
    labels: np.ndarray  # int [d]
    scores: np.ndarray  # float [d]
    objects: np.ndarray  # int [d], the object that COCO gives it at FOUND_IOU; -1: none
    results: np.ndarray  # int [d], index of the result record

    @property
    def right(self) -> np.ndarray:
        """Bool [d]."""
        return self.objects >= 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """A detection and an object, of any two categories, that overlap by NEAR_IOU or more."""

    found: np.ndarray  # int [p], index of the detection
    objects: np.ndarray  # int [p]
    overlaps: np.ndarray  # float [p], IoU


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    image_ids: np.ndarray  # int [i]
    num_categories: int
    objects: Objects
    found: Found
    pairs: Pairs

    @property
    def num_objects(self) -> np.ndarray:
        """Int [K], of each category."""
        return np.bincount(self.objects.labels, minlength=self.num_categories)


def gather(truth: CocoTruth, results: Sequence[dict], matches: Matches, *, shape: Shape) -> Outcome:
    """Puts into arrays what was matched.

    A "segmentation" must be compressed RLE, a "bbox" is XYWH. Scores are those that ``matches``
    went by.
    """
    image_ids = np.array(sorted(truth.image_sizes), np.int64)
    category_ids = np.array([category.id for category in truth.categories], np.int64)
    indices = matches.counted
    kept = [truth.objects[index] for index in indices]
    objects = Objects(
        images=np.searchsorted(image_ids, _ints(item.image_id for item in kept)),
        labels=np.searchsorted(category_ids, _ints(item.category_id for item in kept)),
        areas=np.array([item.area for item in kept], np.float64),
        indices=indices,
    )
    place = np.full(len(truth.objects) + 1, -1)  # the last one is where -1 points to
    place[indices] = np.arange(len(indices))
    counts = ~matches.ignored
    records = [results[index] for index in matches.results[counts]]
    found = Found(
        images=np.searchsorted(image_ids, _ints(item["image_id"] for item in records)),
        labels=np.searchsorted(category_ids, _ints(item["category_id"] for item in records)),
        scores=np.array([_score(item, shape) for item in records], np.float64),
        objects=place[matches.objects[counts]],
        results=matches.results[counts],
    )
    return Outcome(
        image_ids=image_ids,
        num_categories=len(category_ids),
        objects=objects,
        found=found,
        pairs=_pairs(
            found, objects, [item[shape] for item in records], [_shape(o, shape) for o in kept]
        ),
    )


def _pairs(found: Found, objects: Objects, theirs: list, true: list) -> Pairs:
    """Overlaps are pycocotools' own, image by image, so that they are those AP comes from."""
    blocks = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    num_images = 1 + max(found.images.max(initial=-1), objects.images.max(initial=-1))
    groups = (_by_image(item.images, num_images) for item in (found, objects))
    for rows, columns in zip(*groups, strict=True):
        if len(rows) and len(columns):
            shapes = [theirs[row] for row in rows], [true[column] for column in columns]
            overlaps = np.asarray(_coco.iou(*shapes, [0] * len(columns)))
            i, j = np.nonzero(overlaps >= NEAR_IOU)
            blocks.append((rows[i], columns[j], overlaps[i, j]))
    near, far, overlaps = map(np.concatenate, zip(*blocks, strict=True))
    return Pairs(found=near, objects=far, overlaps=overlaps)


def _by_image(images: np.ndarray, num_images: int) -> Iterator[np.ndarray]:
    """The places of each image, in their order."""
    order = np.argsort(images, kind="stable")
    borders = np.searchsorted(images[order], np.arange(num_images + 1))
    return (order[start:end] for start, end in itertools.pairwise(borders))


def _score(record: dict, shape: Shape) -> float:
    own = record["score"]
    return record.get("mask_score", own) if shape == "segmentation" else own


def _shape(item: TrueObject, shape: Shape) -> Any:
    return item.segmentation if shape == "segmentation" else list(item.box)


def _ints(values: Iterable[int]) -> np.ndarray:
    return np.fromiter(values, np.int64)
