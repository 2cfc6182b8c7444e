"""Objects and detections in arrays, in the order in which they are matched.

A cell is one category in one image: only within it are detections and objects compared. Cells are
numbered category by category, and within one by image. Shapes: n instances.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pycocotools.mask
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.evaluation.ground_truth import TrueObject

_coco: Any = pycocotools.mask  # its published types do not know text

_AT_ONCE = 50  # masks; pycocotools 2.0.11 with numpy 2 has a limit at 63


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Both ids ascending, each once."""

    category_ids: Int[np.ndarray, "k"]
    image_ids: Int[np.ndarray, "i"]

    def of(self, category_ids: Sequence[int], image_ids: Sequence[int]) -> Int[np.ndarray, "n"]:
        """The cell of each pair of ids; -1 where there is none."""
        category, has_category = _places(category_ids, self.category_ids)
        image, has_image = _places(image_ids, self.image_ids)
        return np.where(has_category & has_image, category * len(self.image_ids) + image, -1)

    def borders(self, cells: Int[np.ndarray, "n"]) -> Int[np.ndarray, "k+1"]:
        """Where in ascending ``cells`` each category begins, and the last one ends."""
        return np.searchsorted(cells, np.arange(len(self.category_ids) + 1) * len(self.image_ids))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Instances:
    indices: Int[np.ndarray, "n"]  # place in the list that was given
    cells: Int[np.ndarray, "n"]  # ascending
    boxes: Float[np.ndarray, "n 4"]  # XYWH
    areas: Float[np.ndarray, "n"]
    segmentations: Any  # array of n objects: RLE, or None

    def at(self, rows: np.ndarray) -> Self:
        """Those at ``rows``, indices or a mask."""
        arrays = {item.name: getattr(self, item.name)[rows] for item in dataclasses.fields(self)}
        return dataclasses.replace(self, **arrays)


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects(_Instances):
    """Those of a cell stand in the order in which they were given."""

    crowds: Bool[np.ndarray, "n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections(_Instances):
    """Those of a cell stand by score, the best first; equal ones in the order they were given."""

    scores: Float[np.ndarray, "n"]

    def ranks(self) -> Int[np.ndarray, "n"]:
        """Place of each one in its cell, from 0."""
        return np.arange(len(self.cells)) - np.searchsorted(self.cells, self.cells)


def objects_in(cells: Cells, given: Sequence[TrueObject]) -> Objects:
    """The objects of all cells; others are left out."""
    numbers = cells.of([item.category_id for item in given], [item.image_id for item in given])
    objects = Objects(
        indices=np.arange(len(given)),
        cells=numbers,
        boxes=_boxes([item.box for item in given]),
        areas=np.array([item.area for item in given], float),
        segmentations=_array_of([item.segmentation for item in given]),
        crowds=np.array([item.is_crowd for item in given], bool),
    )
    return objects.at(_in_order(numbers))


def detections_in(cells: Cells, records: Sequence[dict], *, with_masks: bool) -> Detections:
    """The detections of all cells, out of COCO result records; others are left out.

    ``with_masks``, masks are what is compared: they are ranked by ``mask_score`` where a record has
    one, and their areas are the sizes; else boxes are. A box that is not there is the extent of the
    mask, whose area then is the size in any case.
    """
    numbers = cells.of(
        [item["category_id"] for item in records], [item["image_id"] for item in records]
    )
    kept = np.flatnonzero(numbers >= 0)
    chosen = [records[index] for index in kept.tolist()]
    scores = np.array([_score(item, with_masks=with_masks) for item in chosen], float)
    masks = _array_of([item.get("segmentation") for item in chosen])
    has_box = np.array([item.get("bbox") is not None for item in chosen], bool)
    boxes = _boxes([item.get("bbox") or (0, 0, 0, 0) for item in chosen])
    boxes[~has_box] = _of_masks(_coco.toBbox, masks[~has_box]).reshape(-1, 4)
    areas = boxes[:, 2] * boxes[:, 3]
    by_mask = np.full(len(chosen), True) if with_masks else ~has_box
    areas[by_mask] = _of_masks(_coco.area, masks[by_mask])
    detections = Detections(
        indices=kept,
        cells=numbers[kept],
        boxes=boxes,
        areas=areas,
        segmentations=masks,
        scores=scores,
    )
    return detections.at(np.lexsort((-scores, numbers[kept])))


def _places(values: Sequence[int], among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each value in ascending numbers, and whether it is there."""
    if not len(among):
        return np.zeros(len(values), int), np.zeros(len(values), bool)
    given = np.fromiter(values, np.int64, len(values))
    places = np.minimum(np.searchsorted(among, given), len(among) - 1)
    return places, among[places] == given


def _in_order(cells: np.ndarray) -> np.ndarray:
    """Rows by cell, but for those that have none."""
    order = np.argsort(cells, kind="stable")
    return order[cells[order] >= 0]


def _boxes(values: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(values, float).reshape(-1, 4)


def _score(record: dict, *, with_masks: bool) -> float:
    own = record["score"]
    return record.get("mask_score", own) if with_masks else own


def _array_of(values: list) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _of_masks(measure: Callable[[list], np.ndarray], masks: np.ndarray) -> np.ndarray:
    starts = range(0, len(masks), _AT_ONCE)
    parts = [np.ravel(measure(list(masks[start : start + _AT_ONCE]))) for start in starts]
    return np.concatenate([np.zeros(0), *parts])
