"""Whether box, mask and area of one annotation agree. Boxes are XYXY here, unless they say so."""

from typing import Any, TypeAlias

import pycocotools.mask

from maskrcnn_jax.data.problems import Kind, Problem, Report
from maskrcnn_jax.data.records import Annotation, Segmentation
from maskrcnn_jax.data.segmentation import as_rle
from maskrcnn_jax.data.sizes import Size

Box: TypeAlias = tuple[float, float, float, float]

# In pixels. COCO's own boxes are rounded, and stick out of their image by less.
_SLACK = 2.0
# The finest features have stride 4.
_TINY_AREA = 16
# A box fits a mask, and an area is the mask's, where they have this much in common.
_LEAST_IOU = 0.5
_LEAST_RATIO = 0.5

_coco: Any = pycocotools.mask  # its published types do not know text


def check_annotation(annotation: Annotation, size: Size, *, where: str, report: Report) -> bool:
    """Reports what is doubtful about an annotation in an image of (height, width).

    Returns whether its box is more likely [x1, y1, x2, y2] than the [x, y, width, height] it should
    be: where it leaves the image as the latter but not as the former, or where the mask says so.
    """

    def tell(kind: Kind, text: str) -> None:
        report(Problem(kind=kind, text=text, where=where))

    if annotation.is_crowd:
        is_rle = isinstance(annotation.segmentation, dict)
        tell(Kind.CROWD if is_rle else Kind.CROWD_OF_POLYGONS, "'iscrowd' is 1")
        return False
    given, box = f"'bbox' is {list(annotation.box)}", _corners(annotation.box)
    if _sticks_out(box, size):
        tell(Kind.BOX_STICKS_OUT, f"{given} in an image of {size[1]} x {size[0]} (width x height)")
    if annotation.box[2] * annotation.box[3] < _TINY_AREA:
        tell(Kind.TINY_OBJECT, given)
    mask = as_rle(annotation.segmentation, height=size[0], width=size[1])
    extent = _clipped(_extent(annotation.segmentation, mask), size)
    if _is_far(_clipped(box, size), extent):
        tell(Kind.BOX_OFF_MASK, f"{given}, that of its mask is {_xywh(extent)}")
    area = int(_coco.area(mask))
    if min(area, annotation.area) < _LEAST_RATIO * max(area, annotation.area) - _TINY_AREA:
        tell(Kind.OTHER_AREA, f"'area' is {annotation.area}, its mask covers {area} pixels")
    return _are_corners(annotation.box, size, extent)


def _are_corners(given: Box, size: Size, extent: Box) -> bool:
    left, top, right, bottom = given
    if left >= right or top >= bottom or _sticks_out(given, size):
        return False
    box, fit = _corners(given), _iou(given, extent)
    return _sticks_out(box, size) or (fit > _LEAST_IOU and fit > _iou(box, extent))


def _corners(box: Box) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height


def _xywh(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [round(value, 2) for value in (left, top, right - left, bottom - top)]


def _sticks_out(box: Box, size: Size) -> bool:
    height, width = size
    return min(box[:2]) < -_SLACK or box[2] > width + _SLACK or box[3] > height + _SLACK


def _clipped(box: Box, size: Size) -> Box:
    height, width = size
    left, right = (min(max(x, 0.0), width) for x in box[::2])
    top, bottom = (min(max(y, 0.0), height) for y in box[1::2])
    return left, top, right, bottom


def _is_far(box: Box, extent: Box) -> bool:
    distance = max(abs(a - b) for a, b in zip(box, extent, strict=True))
    return distance > _SLACK and _iou(box, extent) < _LEAST_IOU


def _extent(segmentation: Segmentation, mask: dict) -> Box:
    """Of polygons that of their points, else that of the pixels."""
    if isinstance(segmentation, list):
        x = [value for polygon in segmentation for value in polygon[::2]]
        y = [value for polygon in segmentation for value in polygon[1::2]]
        return min(x), min(y), max(x), max(y)
    left, top, width, height = _coco.toBbox(mask).tolist()
    return left, top, left + width, top + height


def _iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / max(sum(areas) - common, 1e-9)
