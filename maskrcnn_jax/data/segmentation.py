"""Validity of a COCO segmentation: polygons, or a run-length code (RLE), compressed or not.

An RLE counts runs of equal pixels down the columns, starting with zeros. Compressed, each run is a
little-endian number in base 32, a character for each digit (``chr(digit + 48)``, bit 5 set when
more follow, bit 4 of the last one its sign), and from the fourth run on, the difference from the
run two places before (cocoapi, ``rleToString`` in ``common/maskApi.c``).
"""

from typing import Any

import numpy as np

from maskrcnn_jax.data.masks import clip_outline
from maskrcnn_jax.data.records import Segmentation
from maskrcnn_jax.errors import InputError


def check_segmentation(segmentation: Any, *, height: int, width: int) -> Segmentation:
    """Returns what is usable of a segmentation as it was read from JSON.

    That is the segmentation itself, but for polygons of fewer than three points beside sound ones:
    they enclose nothing, and pycocotools misreads them, so they are left out.

    Raises:
      InputError: it is neither polygons nor an RLE, or does not fit an image of this size.
    """
    if isinstance(segmentation, dict):
        _check_rle(segmentation, height=height, width=width)
        return segmentation
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(
            f"segmentation is {_shown(segmentation)}; it must be a list of polygons or an RLE"
        )
    for polygon in segmentation:
        _check_polygon(polygon)
    sound = [polygon for polygon in segmentation if len(polygon) >= 6]
    if not sound:
        raise InputError(
            f"segmentation {_shown(segmentation)} has a polygon of fewer than three points; "
            "write polygons as [[x1, y1, x2, y2, x3, y3, ...], ...]"
        )
    return sound


def has_area(segmentation: Segmentation, *, height: int, width: int) -> bool:
    """Says whether a valid segmentation covers anything of its image."""
    if isinstance(segmentation, list):
        outlines = (np.reshape(polygon, (-1, 2)) for polygon in segmentation)
        return any(_area(clip_outline(outline, (height, width))) > 0 for outline in outlines)
    return sum(rle_counts(segmentation)[1::2]) > 0


def rle_counts(rle: dict) -> list[int]:
    """Returns the runs of an RLE, decompressed if need be: zeros, ones, zeros, ..."""
    if isinstance(rle["counts"], list):
        return rle["counts"]
    counts: list[int] = []
    value = shift = 0
    for character in rle["counts"]:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 30:
            raise InputError("segmentation is an RLE whose counts are not the text of a COCO RLE")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise InputError("segmentation is an RLE whose counts end in the middle of a number")
    return counts


def _check_rle(rle: dict, *, height: int, width: int) -> None:
    if rle.get("size") != [height, width]:
        raise InputError(
            f"segmentation is an RLE of size {_shown(rle.get('size'))}, "
            f"but its image is [{height}, {width}] (height, width)"
        )
    if not isinstance(rle.get("counts"), (str, list)):
        raise InputError("segmentation is an RLE without 'counts' (a string or a list of integers)")
    counts = rle_counts(rle)
    if not all(type(count) is int and count >= 0 for count in counts):
        raise InputError("segmentation is an RLE whose counts are not all integers of at least 0")
    if sum(counts) != height * width:
        raise InputError(
            f"segmentation is an RLE whose counts add up to {sum(counts)}, "
            f"but its image has {height} x {width} = {height * width} pixels"
        )


def _check_polygon(polygon: Any) -> None:
    try:
        coordinates = np.asarray(polygon)
    except ValueError:  # ragged
        coordinates = np.empty(0, object)
    if not isinstance(polygon, list) or coordinates.ndim != 1:
        raise InputError(
            f"segmentation holds {_shown(polygon)}, which is not a polygon; "
            "write polygons as [[x1, y1, x2, y2, x3, y3, ...], ...]"
        )
    if polygon and (coordinates.dtype.kind not in "iuf" or not np.isfinite(coordinates).all()):
        raise InputError(f"polygon {_shown(polygon)} has a coordinate that is not a finite number")
    if len(polygon) % 2:
        raise InputError(f"polygon {_shown(polygon)} has an odd number of coordinates")


def _area(outline: np.ndarray) -> float:
    """Area inside an outline of [n, 2] points, of which there may be none."""
    if not len(outline):
        return 0.0
    x, y = (outline - outline[0]).T  # so that an outline straight along x or y has exactly 0
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(np.roll(x, -1), y)) / 2


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
