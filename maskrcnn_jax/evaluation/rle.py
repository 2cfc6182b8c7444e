"""COCO run-length encodings of masks: pasted from the network, read from files, drawn.

An RLE is ``{"size": [h, w], "counts": text}``. The counts are the lengths of alternating runs of
zeros and ones, zeros first, down the columns of the image.
"""

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import pycocotools.mask

from maskrcnn_jax.data.records import Segmentation
from maskrcnn_jax.data.segmentation import as_rle, rle_counts
from maskrcnn_jax.ops.paste import MASK_THRESHOLD

_coco: Any = pycocotools.mask  # its published types do not know text


def encode_pasted(mask: np.ndarray, box: np.ndarray, *, height: int, width: int) -> dict:
    """RLE of ``mask`` [k, l] stretched over ``box`` (XYXY) in an image of (height, width).

    Equals ``ops.paste.covered_pixels`` to the last bit, but only the pixels under the box are
    computed: further out the result is below ``MASK_THRESHOLD`` for every mask of probabilities.
    That, and no canvas, makes it several times faster on the host, and independent of the image's
    size.
    """
    x1, y1, x2, y2 = box
    rows, columns = _pixels_under(y1, y2, height), _pixels_under(x1, x2, width)
    stretched = _stretched(mask.T, x1, x2, pixels=columns)  # [columns, k]
    inside = _stretched(stretched.T, y1, y2, pixels=rows) >= MASK_THRESHOLD  # [rows, columns]
    strip = np.zeros(len(columns) * height + 2, bool)  # one zero before and one after
    strip[1:-1].reshape(len(columns), height)[:, rows.start : rows.stop] = inside.T
    changes = np.flatnonzero(strip[1:] ^ strip[:-1]) + columns.start * height
    changes = changes[changes < height * width]
    borders = np.concatenate([[0], changes, [height * width]])
    counts = (borders[1:] - borders[:-1]).tolist()
    return compressed({"size": [height, width], "counts": counts}, height=height, width=width)


def compressed(segmentation: Segmentation, *, height: int, width: int) -> dict:
    """Compressed RLE of polygons or of either kind of RLE, which must be valid.

    The counts are ``str``, which JSON can hold; pycocotools gives ``bytes``.
    """
    rle = as_rle(segmentation, height=height, width=width)
    counts = rle["counts"]
    return rle if isinstance(counts, str) else {**rle, "counts": counts.decode("ascii")}


def decode(rle: dict) -> np.ndarray:
    """The mask, bool [h, w]."""
    height, width = rle["size"]
    counts = rle_counts(rle)
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def decode_extent(rle: dict) -> tuple[int, int, np.ndarray]:
    """The first column and row of a mask's extent, and what it holds there: 0 or 1, uint8.

    The rest of the image is never decoded: of a small object in a large image it is nearly all.
    """
    x, y, width, height = map(int, extent(rle))
    rows = rle["size"][0]
    ends = np.cumsum(rle_counts(rle)) - x * rows  # of the runs, from the first column on
    runs = np.diff(np.clip(ends, 0, width * rows), prepend=0)
    values = (np.arange(len(runs)) % 2).astype(np.uint8)
    columns = np.repeat(values, runs).reshape(width, rows)
    return x, y, np.ascontiguousarray(columns.T[y : y + height])


class DecodedMasks(Sequence[np.ndarray]):
    """Masks bool [h, w] that are decoded when asked for: large images need not hold them all.

    ``size`` is (h, w), which shows in an array of all masks if there are none.
    """

    def __init__(self, rles: Sequence[dict], *, size: tuple[int, int] = (0, 0)):
        self._rles = rles
        self._size = size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All masks, [n, h, w]."""
        if copy is False:
            raise ValueError("masks are decoded into a new array")
        masks = np.stack(list(self)) if self._rles else np.zeros((0, *self._size), bool)
        return masks if dtype is None else masks.astype(dtype)

    def __len__(self) -> int:
        return len(self._rles)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "DecodedMasks": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return DecodedMasks(self._rles[index], size=self._size)
        return decode(self._rles[index])


def area(rle: dict) -> int:
    """Number of pixels of the mask."""
    return int(_coco.area(rle))


def extent(rle: dict) -> list[float]:
    """The tight box around the mask, XYWH; zeros for an empty mask."""
    return _coco.toBbox(rle).tolist()


def iou(a: dict, b: dict) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    return float(_coco.iou([a], [b], [0])[0, 0])


def _pixels_under(low: float, high: float, size: int) -> range:
    first = max(math.floor(low), 0)
    return range(first, max(first, min(math.ceil(high), size)))


def _stretched(mask: np.ndarray, low: np.floating, high: np.floating, pixels: range) -> np.ndarray:
    """[pixels, l]: the rows of a mask [k, l], spread between low and high, at pixels' centres.

    Between two rows it is interpolated, and beyond the first and the last one are zeros. In the
    precision of low and high, in the steps of ``ops.paste``.
    """
    half = np.float32(0.5)
    centres = np.arange(pixels.start, pixels.stop, dtype=low.dtype) + half
    position = np.clip((centres - low) * (len(mask) / (high - low)) - half, -1, len(mask))
    first = np.floor(position)
    above = (position - first).astype(mask.dtype)[:, None]
    index = first.astype(np.int32) + 1
    padded = np.zeros((len(mask) + 3, mask.shape[1]), mask.dtype)
    padded[1:-2] = mask
    values, others = padded.take(index, axis=0), padded.take(index + 1, axis=0)
    values *= 1 - above
    others *= above
    values += others
    return values
