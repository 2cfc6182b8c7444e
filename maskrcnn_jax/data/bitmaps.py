"""Arithmetic with masks that are bitmaps over frames; see ``masks.py`` for what those are.

Shapes: n objects, m side of a bitmap, h w image size.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from maskrcnn_jax.data.sizes import Size


def tight_boxes(
    masks: Bool[np.ndarray, "n m m"], frames: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, "n 4"]:
    """XYXY around the cells that are set; of no meaning for an empty bitmap.

    A side lies at the border of a cell, but for this: where one of the two outermost rows of cells
    is set it is that of the frame, as an outline often ends in a tip thinner than a cell.
    """
    num_cells = masks.shape[-1]
    sides = []
    for axis in (1, 2):
        is_set = np.any(masks, axis=axis)  # columns of cells, then rows
        first, last = is_set.argmax(-1), num_cells - is_set[:, ::-1].argmax(-1)
        first = np.where(first <= 1, 0, first)
        last = np.where(last >= num_cells - 1, num_cells, last)
        low, high = frames[:, axis - 1], frames[:, axis + 1]
        sides.append(low + first / num_cells * (high - low))
        sides.append(high - (num_cells - last) / num_cells * (high - low))
    left, right, top, bottom = sides
    return np.stack([left, top, right, bottom], axis=-1)


def draw_mask(
    bitmap: Bool[np.ndarray, "m m"], frame: Float[np.ndarray, "4"], *, size: Size
) -> Bool[np.ndarray, "h w"]:
    """The pixels of an image of (height, width) that a mask covers.

    They are those at whose centre the bitmap, interpolated bilinearly, is at least one half: the
    rule by which predictions are pasted (Detectron2 ``paste_masks_in_image``).
    """
    low, high = frame[:2], frame[2:]
    # Pixels whose centres are inside the frame.
    first, last = np.clip(np.ceil([low - 0.5, high - 0.5]), 0, size[::-1]).astype(int)
    mask = np.zeros(size, bool)
    if (last > first).all():
        scale = len(bitmap) / (high - low)
        offset = (first + 0.5 - low) * scale - 0.5  # of the first pixel's centre, in cells
        values = cv2.warpAffine(
            bitmap.astype(np.float32),
            np.column_stack([np.diag(scale), offset]),
            (last - first).tolist(),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask[first[1] : last[1], first[0] : last[0]] = values >= 0.5
    return mask


def covered_shares(
    pixels: Bool[np.ndarray, "h w"], frames: Float[np.ndarray, "n 4"], *, mask_size: int
) -> Float[np.ndarray, "n m m"]:
    """The share of each cell of the frames that pixels of an image cover; outside of it, none is.

    The integral of the pixels is bilinear between their corners, so that samples of it at the
    corners of the cells give exact areas.
    """
    integral = cv2.integral(pixels.astype(np.uint8), sdepth=cv2.CV_64F)
    x, y = (
        np.clip(np.linspace(frames[:, axis], frames[:, axis + 2], mask_size + 1, axis=-1), 0, limit)
        for axis, limit in ((0, pixels.shape[1]), (1, pixels.shape[0]))
    )  # [n, m + 1]
    rows, columns = np.minimum(y.astype(int), len(pixels) - 1), x.astype(int)
    columns = np.minimum(columns, pixels.shape[1] - 1)
    down, across = (y - rows)[:, :, None], (x - columns)[:, None, :]
    rows, columns = rows[:, :, None], columns[:, None, :]
    above = integral[rows, columns] * (1 - across) + integral[rows, columns + 1] * across
    below = integral[rows + 1, columns] * (1 - across) + integral[rows + 1, columns + 1] * across
    sums = above * (1 - down) + below * down
    covered = np.diff(np.diff(sums, axis=1), axis=2)
    areas = cell_areas(frames, mask_size=mask_size)[:, None, None]
    return np.where(areas > 0, covered / np.where(areas > 0, areas, 1), 0)


def cell_areas(frames: Float[np.ndarray, "n 4"], *, mask_size: int) -> Float[np.ndarray, "n"]:
    """The area of a cell of each frame, in pixels."""
    return np.prod(frames[:, 2:] - frames[:, :2], axis=-1) / mask_size**2
