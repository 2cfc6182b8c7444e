"""Validity of a COCO segmentation: polygons, or a run-length code (RLE), compressed or not.

An RLE counts runs of equal pixels down the columns, starting with zeros. Compressed, each run is a
little-endian number in base 32, a character for each digit (``chr(digit + 48)``, bit 5 set when
more follow, bit 4 of the last one its sign), and from the fourth run on, the difference from the
run two places before (cocoapi, ``rleToString`` in ``common/maskApi.c``).
"""

import math
from typing import Any

import numpy as np
import pycocotools.mask

from maskrcnn_jax.data.json_fields import shown
from maskrcnn_jax.data.masks import clip_outline
from maskrcnn_jax.data.problems import DataError, Kind
from maskrcnn_jax.data.records import Segmentation

# Of coordinates and of the length of an outline, in pixels. The C code of pycocotools takes 80
# bytes for each pixel of length, and is lost where there is no memory or an int does not hold it.
_FARTHEST = 2**24

_coco: Any = pycocotools.mask  # its published types do not know polygons


def check_segmentation(segmentation: Any, *, height: int, width: int) -> Segmentation:
    """Returns what is usable of a segmentation as it was read from JSON.

    That is the segmentation itself, but for polygons of fewer than three points beside sound ones:
    they enclose nothing, and pycocotools misreads them, so they are left out.

    Raises:
      DataError: it is neither polygons nor an RLE, or does not fit an image of this size.
    """
    if isinstance(segmentation, dict):
        _check_rle(segmentation, height=height, width=width)
        return segmentation
    if not isinstance(segmentation, list) or not segmentation:
        raise DataError(
            Kind.NO_MASK,
            f"segmentation is {shown(segmentation)}; it must be a list of polygons or an RLE",
        )
    for polygon in segmentation:
        _check_polygon(polygon)
    sound = [polygon for polygon in segmentation if len(polygon) >= 6]
    if not sound:
        raise DataError(
            Kind.TOO_FEW_POINTS,
            f"segmentation {shown(segmentation)} has a polygon of fewer than three points; "
            "write polygons as [[x1, y1, x2, y2, x3, y3, ...], ...]",
        )
    return sound


def has_area(segmentation: Segmentation, *, height: int, width: int) -> bool:
    """Says whether a valid segmentation covers anything of its image."""
    if isinstance(segmentation, list):
        outlines = (np.reshape(polygon, (-1, 2)) for polygon in segmentation)
        return any(_area(clip_outline(outline, (height, width))) > 0 for outline in outlines)
    return _coco.area(as_rle(segmentation, height=height, width=width)) > 0


def as_rle(segmentation: Segmentation, *, height: int, width: int) -> dict:
    """A valid segmentation as pycocotools has it: compressed, the counts text or bytes.

    The C code of pycocotools checks nothing: see ``check_segmentation``.
    """
    if isinstance(segmentation, list):
        return _coco.merge(_coco.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return _coco.frPyObjects(segmentation, height, width)
    return segmentation


def rle_counts(rle: dict) -> list[int]:
    """Returns the runs of an RLE, decompressed if need be: zeros, ones, zeros, ..."""
    if isinstance(rle["counts"], list):
        return rle["counts"]
    counts: list[int] = []
    value = shift = 0
    for character in rle["counts"]:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 30:
            raise _bad_rle("are not the text of a COCO RLE")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise _bad_rle("end in the middle of a number")
    return counts


def _check_rle(rle: dict, *, height: int, width: int) -> None:
    size: Any = rle.get("size")
    if size != [height, width] or set(map(type, size)) != {int}:
        raise DataError(
            Kind.OTHER_RLE_SIZE,
            f"segmentation is an RLE of size {shown(size)}, "
            f"but its image is [{height}, {width}] (height, width)",
        )
    if not isinstance(rle.get("counts"), (str, list)):
        raise DataError(
            Kind.NO_MASK,
            "segmentation is an RLE without 'counts' (a string or a list of integers)",
        )
    counts = rle_counts(rle)
    if not all(type(count) is int and count >= 0 for count in counts):
        raise _bad_rle("are not all integers of at least 0")
    if sum(counts) != height * width:
        raise _bad_rle(
            f"add up to {shown(sum(counts))}, "
            f"but its image has {height} x {width} = {height * width} pixels"
        )


def _bad_rle(text: str) -> DataError:
    return DataError(Kind.BAD_RLE, f"segmentation is an RLE whose counts {text}")


def _check_polygon(polygon: Any) -> None:
    types = set(map(type, polygon)) if isinstance(polygon, list) else {list}
    if list in types:
        raise DataError(
            Kind.NO_MASK,
            f"segmentation holds {shown(polygon)}, which is not a polygon; "
            "write polygons as [[x1, y1, x2, y2, x3, y3, ...], ...]",
        )
    if not types <= {int, float} or not _are_finite(polygon):
        raise DataError(
            Kind.BAD_NUMBER,
            f"polygon {shown(polygon)} has a coordinate that is not a finite number",
        )
    if len(polygon) % 2:
        raise DataError(
            Kind.HALF_POINT, f"polygon {shown(polygon)} has an odd number of coordinates"
        )
    if polygon and _is_too_long(polygon):
        raise DataError(
            Kind.TOO_LONG_OUTLINE,
            f"polygon {shown(polygon)} is longer or lies farther out than {_FARTHEST} pixels",
        )


def _are_finite(values: list[float]) -> bool:
    try:
        return math.isfinite(sum(values))
    except OverflowError:  # an integer of JSON may be too large for a float
        return False


def _is_too_long(polygon: list[float]) -> bool:
    low, high = min(polygon), max(polygon)
    if low > -_FARTHEST and high < _FARTHEST and (high - low) * len(polygon) < _FARTHEST:
        return False  # most polygons by far: no edge is longer than high - low along x or y
    edges = np.diff(np.reshape(polygon, (-1, 2)), axis=0, append=[polygon[:2]])
    return max(-low, high, np.abs(edges).sum()) >= _FARTHEST


def _area(outline: np.ndarray) -> float:
    """Area inside an outline of [n, 2] points, of which there may be none."""
    if not len(outline):
        return 0.0
    x, y = (outline - outline[0]).T  # so that an outline straight along x or y has exactly 0
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) / 2
