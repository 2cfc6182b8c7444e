"""How much detections and objects overlap, by pycocotools: its IoU of boxes and of masks.

With a crowd, it is the part of the detection that lies in it.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import pycocotools.mask
from jaxtyping import Float, Int

from maskrcnn_jax.evaluation.boundary import boundary, boundary_iou
from maskrcnn_jax.evaluation.instances import Detections, Objects

# How overlaps are measured: of boxes, of masks, of masks and their boundaries.
IouType: TypeAlias = Literal["bbox", "segm", "boundary"]
IOU_TYPES: tuple[IouType, ...] = get_args(IouType)

_coco: Any = pycocotools.mask  # its published types do not know arrays of boxes


class Overlaps(NamedTuple):
    """Pairs of one cell that overlap enough to match, by detection and then by object."""

    detections: Int[np.ndarray, "p"]
    objects: Int[np.ndarray, "p"]
    ious: Float[np.ndarray, "p"]


def overlaps(
    detections: Detections, objects: Objects, *, of_masks: bool, at_least: float
) -> Overlaps:
    """All pairs of a cell whose masks, or else boxes, overlap ``at_least`` so much."""
    theirs, true = (
        (list(item.segmentations) if of_masks else item.boxes) for item in (detections, objects)
    )
    blocks = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for found, wanted in _shared_cells(detections.cells, objects.cells):
        ious = np.asarray(_coco.iou(theirs[found], true[wanted], objects.crowds[wanted]))
        i, j = np.nonzero(ious >= at_least)
        blocks.append((i + found.start, j + wanted.start, ious[i, j]))
    return Overlaps(*map(np.concatenate, zip(*blocks, strict=True)))


def boundary_overlaps(
    masks: Overlaps, detections: Detections, objects: Objects, *, at_least: float
) -> Overlaps:
    """As much as boundaries overlap, and no more than ``masks`` do, at least so much.

    Those of crowds stay what they are, as in the released evaluation of Boundary AP.
    """
    rows = np.flatnonzero(~objects.crowds[masks.objects])
    theirs = {i: boundary(detections.segmentations[i]) for i in np.unique(masks.detections[rows])}
    true = {j: boundary(objects.segmentations[j]) for j in np.unique(masks.objects[rows])}
    ious = masks.ious.copy()
    for row in rows:
        near = boundary_iou(theirs[masks.detections[row]], true[masks.objects[row]])
        ious[row] = min(ious[row], near)
    kept = ious >= at_least
    return Overlaps(masks.detections[kept], masks.objects[kept], ious[kept])


def _shared_cells(
    theirs: Int[np.ndarray, "n"], true: Int[np.ndarray, "g"]
) -> Iterator[tuple[slice, slice]]:
    """The rows of each cell that has both, in ascending cells."""
    shared = np.intersect1d(theirs, true)
    bounds = (
        np.searchsorted(cells, shared, side).tolist()
        for cells in (theirs, true)
        for side in ("left", "right")
    )
    for start, end, first, last in zip(*bounds, strict=True):
        yield slice(start, end), slice(first, last)
