"""Segmentations as bitmaps over their own frames.

A frame is the tight rectangle around a segmentation, XYXY in continuous pixels of the image; its
bitmap divides it evenly into ``mask_size`` x ``mask_size`` cells, whatever its shape. So a small
object keeps the detail of its outline, and a mask is as large as any other in memory.
"""

from typing import Any, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.records import Segmentation
from maskrcnn_jax.data.sizes import Size, Window

# In pixels: what is thinner covers nothing, and is not scaled up.
_THINNEST = 1e-3

FramedMask: TypeAlias = tuple[Bool[np.ndarray, "m m"], Float[np.ndarray, "4"]]


def framed_mask(
    segmentation: Segmentation,
    *,
    image_size: Size,
    mask_size: int,
    window: Window | None = None,
) -> FramedMask:
    """Bitmap and frame of a segmentation; what lies outside the image is cut off.

    With ``window``, what lies outside of that is cut off, and the frame is in its pixels. The
    bitmap divides the frame of what is left: a cut costs no detail. A segmentation that covers
    nothing gives an empty bitmap, its frame has no meaning.
    """
    if not segmentation:
        return np.zeros((mask_size, mask_size), bool), np.zeros(4)
    window = window or (0, 0, image_size[1], image_size[0])
    if isinstance(segmentation, dict):
        return _from_rle(segmentation, window=window, mask_size=mask_size)
    return _from_polygons(segmentation, window=window, mask_size=mask_size)


def _from_polygons(polygons: list[list[float]], *, window: Window, mask_size: int) -> FramedMask:
    """Rasterises the outline at the bitmap's own resolution, by COCO's rule."""
    left, top, right, bottom = window
    outlines = [
        clip_outline(np.reshape(polygon, (-1, 2)) - (left, top), (bottom - top, right - left))
        for polygon in polygons
    ]
    outlines = [outline for outline in outlines if len(outline)]
    points = np.concatenate(outlines or [np.zeros((1, 2))])
    low, high = points.min(0), points.max(0)
    frame = np.concatenate([low, high])
    if (high - low < _THINNEST).any():
        return np.zeros((mask_size, mask_size), bool), frame
    scale = mask_size / (high - low)
    scaled = [((outline - low) * scale).ravel().tolist() for outline in outlines]
    rle = coco_mask.merge(coco_mask.frPyObjects(scaled, mask_size, mask_size))
    return np.ascontiguousarray(coco_mask.decode(rle), bool), frame


def clip_outline(outline: Float[np.ndarray, "n 2"], image_size: Size) -> Float[np.ndarray, "n2 2"]:
    """The outline of what lies inside the image (Sutherland and Hodgman, 1974).

    Parts that the image cuts asunder stay joined by lines along its border, which enclose nothing.
    """
    height, width = image_size
    for axis, limit, inward in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        depth = (outline[:, axis] - limit) * inward
        if (depth >= 0).all():
            continue
        next_point, next_depth = np.roll(outline, -1, axis=0), np.roll(depth, -1)
        crosses = (depth >= 0) != (next_depth >= 0)
        share = depth / np.where(crosses, depth - next_depth, 1)
        crossing = outline + share[:, None] * (next_point - outline)
        crossing[:, axis] = limit
        points, is_kept = np.stack([outline, crossing], 1), np.stack([depth >= 0, crosses], 1)
        outline = points[is_kept]
    return outline


def _from_rle(rle: Any, *, window: Window, mask_size: int) -> FramedMask:
    """Resamples the pixels inside the tight rectangle; a cell is set if half of it is covered."""
    if isinstance(rle["counts"], list):
        rle = coco_mask.frPyObjects(rle, *rle["size"])
    left, top, right, bottom = window
    pixels = coco_mask.decode(rle)[top:bottom, left:right]
    left, top, width, height = cv2.boundingRect(pixels)
    frame = np.array([left, top, left + width, top + height], np.float64)
    if width == 0 or height == 0:
        return np.zeros((mask_size, mask_size), bool), frame
    pixels = pixels[top : top + height, left : left + width].astype(np.float32)
    # One axis at a time: OpenCV averages areas only where both axes shrink.
    for size in ((height, mask_size), (mask_size, mask_size)):
        shrinks = size[0] <= pixels.shape[0] and size[1] <= pixels.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, size[::-1], interpolation=interpolation)
    return pixels >= 0.5, frame
