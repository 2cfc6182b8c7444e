"""Boundary AP (Cheng et al., 2021, arXiv:2103.16562): overlaps of masks that see their outlines.

Of a large object the interior decides the IoU of masks, however coarse their outlines are. Here two
masks overlap as much as their boundaries do, and no more than the masks themselves do: the smaller
one of both IoUs counts. A boundary is what of a mask is near its outline.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from maskrcnn_jax.evaluation import rle

# Of the image's diagonal, rounded, and at least one pixel (the paper's released evaluation).
_DISTANCE = 0.02


class Boundary(NamedTuple):
    """The pixels, bool [h, w], of a rectangle of the image whose first pixel is (x, y)."""

    x: int
    y: int
    pixels: np.ndarray


def boundary(segmentation: dict) -> Boundary:
    """What of a mask (RLE) is near a pixel that does not belong to it, along an axis or between.

    Beyond the image nothing belongs to it. "Near" is ``_DISTANCE`` or less, counted in steps to one
    of the eight neighbours: what an erosion by a square takes away (the released
    ``mask_to_boundary`` of the paper). It is looked for in the rectangle of the mask alone.
    """
    height, width = segmentation["size"]
    distance = max(1, round(_DISTANCE * math.sqrt(height**2 + width**2)))
    x, y, mask = rle.decode_extent(segmentation)
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    border: Any = cv2.BORDER_CONSTANT
    inner = cv2.erode(mask, square, borderType=border, borderValue=0) if mask.size else mask
    return Boundary(x, y, mask > inner)


def boundary_iou(a: Boundary, b: Boundary) -> float:
    """Intersection over union; 0 where both are empty."""
    x1, y1 = max(a.x, b.x), max(a.y, b.y)
    x2 = max(x1, min(item.x + item.pixels.shape[1] for item in (a, b)))
    y2 = max(y1, min(item.y + item.pixels.shape[0] for item in (a, b)))
    first, second = (
        item.pixels[y1 - item.y : y2 - item.y, x1 - item.x : x2 - item.x] for item in (a, b)
    )
    common = np.count_nonzero(first & second)
    union = np.count_nonzero(a.pixels) + np.count_nonzero(b.pixels) - common
    return common / union if union else 0.0
