"""Drawings put together as the content of an annotation file in COCO layout."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pycocotools.mask

from maskrcnn_jax.data.importers.annotated import AnnotatedImage, Drawing
from maskrcnn_jax.data.masks import clip_outline
from maskrcnn_jax.data.problems import DataError
from maskrcnn_jax.data.records import Category, Segmentation
from maskrcnn_jax.data.segmentation import as_rle, check_segmentation, has_area
from maskrcnn_jax.data.sizes import Size

_coco: Any = pycocotools.mask  # its published types do not know polygons


def to_coco(
    images: Sequence[AnnotatedImage], categories: Sequence[Category], left_out: Counter[str]
) -> dict[str, Any]:
    """The content; ids count from 1. What sticks out of its image is cut off.

    An object of which nothing is left, or that encloses nothing, is counted in ``left_out``.
    """
    ids = {category.name: category.id for category in categories}
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        for parts in _objects(image.drawings):
            segmentation = _joined(parts, image.picture.size)
            if segmentation is None:
                left_out["object that covers nothing of its image"] += 1
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": ids[parts[0].label],
                    **_measured(segmentation, image.picture.size),
                    "iscrowd": int(parts[0].is_crowd),
                    "segmentation": segmentation,
                }
            )
    return {
        "images": [
            {
                "id": image_id,
                "file_name": image.file_name,
                "height": image.picture.size[0],
                "width": image.picture.size[1],
            }
            for image_id, image in enumerate(images, start=1)
        ],
        "categories": [{"id": item.id, "name": item.name} for item in categories],
        "annotations": annotations,
    }


def _objects(drawings: Iterable[Drawing]) -> list[list[Drawing]]:
    """The parts of each object, in the order of their first ones."""
    objects: dict[Any, list[Drawing]] = {}
    for number, drawing in enumerate(drawings):
        key = number if drawing.group is None else (drawing.label, drawing.group)
        objects.setdefault(key, []).append(drawing)
    return list(objects.values())


def _joined(parts: Sequence[Drawing], size: Size) -> Segmentation | None:
    """Polygons where all parts are, else an RLE; None where nothing is covered."""
    height, width = size
    segmentations = [_inside(part, size) for part in parts]
    polygons = [item for found in segmentations if isinstance(found, list) for item in found]
    rles: list[Any] = [found for found in segmentations if isinstance(found, dict)]
    if not rles:
        return polygons or None
    if polygons:
        rles.append(as_rle(polygons, height=height, width=width))
    rle = _coco.merge(rles)
    if not _coco.area(rle):
        return None
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def _inside(part: Drawing, size: Size) -> Segmentation:
    """What lies in the image and encloses something; no polygons where nothing does."""
    height, width = size
    try:
        segmentation = check_segmentation(part.segmentation, height=height, width=width)
    except DataError as error:
        raise DataError(error.problem.kind, f"{error}.", where=part.where) from None
    if isinstance(segmentation, dict):
        return segmentation
    outlines = (clip_outline(np.reshape(polygon, (-1, 2)), size) for polygon in segmentation)
    polygons = [outline.ravel().tolist() for outline in outlines]
    return [item for item in polygons if has_area([item], height=height, width=width)]


def _measured(segmentation: Segmentation, size: Size) -> dict[str, Any]:
    """The box of an object, around its points or its pixels, and its area in pixels."""
    rle = as_rle(segmentation, height=size[0], width=size[1])
    box = _coco.toBbox(rle).tolist()
    if isinstance(segmentation, list):
        points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in segmentation])
        low, high = points.min(0), points.max(0)
        box = np.concatenate([low, high - low]).tolist()
    return {"bbox": box, "area": float(_coco.area(rle))}
