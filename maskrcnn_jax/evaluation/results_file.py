"""Reading COCO results that somebody else wrote."""

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.rle_texts import are_valid
from maskrcnn_jax.data.segmentation import check_segmentation
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.evaluation.overlaps import IOU_TYPES, IouType
from maskrcnn_jax.garbage import collector_paused

_SHAPES = ("bbox", "segmentation")


@collector_paused()
def read_results(path: Path, truth: CocoTruth) -> list[dict]:
    """Records of a COCO results file, checked against the ground truth they are scored with.

    Each has ``image_id``, ``category_id``, ``score`` and ``bbox`` or ``segmentation`` or both, the
    same ones in all records; ``mask_score`` may be there too. Segmentations come back as compressed
    RLE, other keys are left out.
    """
    image_ids = json_fields.Ids(truth.image_sizes)
    category_ids = json_fields.Ids(category.id for category in truth.categories)
    content = _read_list(path)
    first = content[0] if content and isinstance(content[0], dict) else {}
    shapes = [key for key in _SHAPES if key in first]
    has_sound_box = _have_sound_boxes(content)
    has_sound_code = _have_sound_codes(content, truth.image_sizes)
    records = []
    for number, given in enumerate(content):
        where = f"{path}: record {number} (counted from 0)"
        if not isinstance(given, dict):
            raise InputError(f"{where}: is no object; write image_id, category_id, score, bbox.")
        if [key for key in _SHAPES if key in given] != shapes or not shapes:
            raise InputError(f"{where}: {_mend(shapes)}")
        image_id = json_fields.known_id(given, "image_id", image_ids, where)
        record: dict[str, Any] = {
            "image_id": image_id,
            "category_id": json_fields.known_id(given, "category_id", category_ids, where),
            "score": _score(given, "score", where),
        }
        if "mask_score" in given:
            record["mask_score"] = _score(given, "mask_score", where)
        if "bbox" in given:
            record["bbox"] = given["bbox"] if has_sound_box[number] else _box(given, where)
        if has_sound_code[number]:
            record["segmentation"] = given["segmentation"]
        elif "segmentation" in given:
            record["segmentation"] = _rle(given, where, size=truth.image_sizes[image_id])
        records.append(record)
    return records


def scorable_types(results: list[dict]) -> tuple[IouType, ...]:
    """Boxes always, because masks have extents; masks where the results hold them.

    An empty list of results is scored as if it had held masks: its AP is 0.
    """
    has_masks = not results or "segmentation" in results[0]
    return IOU_TYPES if has_masks else ("bbox",)


def _read_list(path: Path) -> list:
    content = json_fields.read_json(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: must hold a list of results, one object for each detection.")
    return content


def _mend(shapes: list[str]) -> str:
    if not shapes:
        return "has neither 'bbox' nor 'segmentation'; add one of them to all records."
    return f"must have {' and '.join(map(repr, shapes))} and no other shape, as record 0 has."


def _score(record: dict, key: str, where: str) -> float:
    value = record.get(key)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: {key!r} is {value!r}; it must be a finite number.")
    return float(value)


def _box(record: dict, where: str) -> list[float]:
    box = list(json_fields.numbers(record, "bbox", where, count=4))
    if min(box[2:]) < 0:
        raise InputError(f"{where}: 'bbox' is {box}; it must be [x, y, width, height].")
    return box


def _have_sound_boxes(content: list) -> list[bool]:
    """Whether each record has a box that ``_box`` would leave as it is; such are most by far."""
    boxes: list[Any] = [
        record.get("bbox") if isinstance(record, dict) else None for record in content
    ]
    rows = [row for row, box in enumerate(boxes) if isinstance(box, list) and len(box) == 4]
    values = [boxes[row] for row in rows]
    sound = np.zeros(len(content), bool)
    if set(map(type, itertools.chain.from_iterable(values))) == {float}:
        numbers = np.array(values)
        sound[rows] = (np.abs(numbers) < json_fields.LARGEST).all(1) & (numbers[:, 2:] >= 0).all(1)
    return sound.tolist()


def _have_sound_codes(content: list, sizes: Mapping[int, tuple[int, int]]) -> list[bool]:
    """Whether each record has a valid compressed RLE of its image's size; such are most by far."""
    sound = np.zeros(len(content), bool)
    rows = [row for row, record in enumerate(content) if _has_text(record, sizes)]
    masks = [content[row]["segmentation"] for row in rows]
    pixels = [mask["size"][0] * mask["size"][1] for mask in masks]
    sound[rows] = are_valid([mask["counts"] for mask in masks], pixels)
    return sound.tolist()


def _has_text(record: Any, sizes: Mapping[int, tuple[int, int]]) -> bool:
    """Whether its mask has counts as text, and the size of its image."""
    mask = record.get("segmentation") if isinstance(record, dict) else None
    if not isinstance(mask, dict) or type(record.get("image_id")) is not int:
        return False
    size = mask.get("size")
    return (
        isinstance(mask.get("counts"), str)
        and isinstance(size, list)
        and tuple(size) == sizes.get(record["image_id"])
        and all(type(side) is int for side in size)
    )


def _rle(record: dict, where: str, *, size: tuple[int, int]) -> dict:
    height, width = size
    try:
        segmentation = check_segmentation(record["segmentation"], height=height, width=width)
    except InputError as error:
        raise InputError(f"{where}: {error}.") from None
    return rle.compressed(segmentation, height=height, width=width)
