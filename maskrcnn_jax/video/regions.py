"""The pixels of detected objects, and how much those of two objects have in common.

Shapes: n regions, m others; h x w pixels of a region's own rectangle.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.results import ImageDetections


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle at column ``x`` and row ``y``, and which of its pixels belong to the object.

    It may lie outside of the image, where an object is expected that is leaving it.
    """

    x: int
    y: int
    pixels: UInt8[np.ndarray, "h w"]  # 0 or 1
    area: int

    def moved(self, offset: np.ndarray) -> "Region":
        """The same pixels elsewhere; the offset (x, y) is rounded to whole pixels."""
        dx, dy = np.rint(offset).astype(int).tolist()
        return dataclasses.replace(self, x=self.x + dx, y=self.y + dy)


def object_regions(detections: ImageDetections) -> list[Region]:
    """The mask of each detection. A box is taken as filled where there is no mask, or an empty one.

    So a detector of boxes is tracked by the IoU of its boxes, rounded out to whole pixels.
    """
    if detections.segmentations is None:
        return [_filled(box) for box in detections.boxes]
    pairs = zip(detections.segmentations, detections.boxes, strict=True)
    return [_of_mask(segmentation) or _filled(box) for segmentation, box in pairs]


def overlaps(regions: Sequence[Region], others: Sequence[Region]) -> Float[np.ndarray, "n m"]:
    """IoU of all pairs; pixels are compared only where two rectangles meet."""
    result = np.zeros((len(regions), len(others)))
    for i, j in np.argwhere(_rectangles_meet(regions, others)):
        a, b = regions[i], others[j]
        shared = _shared_pixels(a, b)
        result[i, j] = shared / (a.area + b.area - shared)
    return result


def _of_mask(segmentation: dict) -> Region | None:
    x, y, pixels = rle.decode_extent(segmentation)
    area = int(np.count_nonzero(pixels))
    return Region(x=x, y=y, pixels=pixels, area=area) if area else None


def _filled(box: np.ndarray) -> Region:
    x1, y1 = np.floor(box[:2]).astype(int).tolist()
    x2, y2 = np.ceil(box[2:]).astype(int).tolist()
    pixels = np.ones((max(y2 - y1, 1), max(x2 - x1, 1)), np.uint8)
    return Region(x=x1, y=y1, pixels=pixels, area=pixels.size)


def _corners(regions: Sequence[Region]) -> tuple[np.ndarray, np.ndarray]:
    low = np.array([(region.x, region.y) for region in regions], int).reshape(-1, 2)
    sides = np.array([region.pixels.shape[::-1] for region in regions], int).reshape(-1, 2)
    return low, low + sides


def _rectangles_meet(regions: Sequence[Region], others: Sequence[Region]) -> np.ndarray:
    (low, high), (other_low, other_high) = _corners(regions), _corners(others)
    meet = (low[:, None] < other_high) & (high[:, None] > other_low)
    return meet[..., 0] & meet[..., 1]


def _shared_pixels(a: Region, b: Region) -> int:
    """Number of pixels that belong to both; their rectangles meet."""
    x, y = max(a.x, b.x), max(a.y, b.y)
    first, second = (region.pixels[y - region.y :, x - region.x :] for region in (a, b))
    height, width = np.minimum(first.shape, second.shape)
    return int(np.count_nonzero(first[:height, :width] & second[:height, :width]))
