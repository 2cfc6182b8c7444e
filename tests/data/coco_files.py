"""Small data sets in COCO layout, as JSON and as files."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 20, 30
SQUARE = [[5, 5, 15, 5, 15, 15, 5, 15]]
_CONTENT = {
    "images": [
        {"id": 7, "file_name": "b.png", "height": HEIGHT, "width": WIDTH},
        {"id": 3, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
        {"id": 5, "file_name": "ünïcode.png", "height": HEIGHT, "width": WIDTH},
    ],
    "categories": [{"id": 18, "name": "dog"}, {"id": 2, "name": "bicycle"}],
    "annotations": [
        {
            "id": 11,
            "image_id": 3,
            "category_id": 18,
            "bbox": [5.1, 5, 10, 10],
            "area": 100,
            "iscrowd": 0,
            "segmentation": SQUARE,
        },
        {
            "id": 12,
            "image_id": 7,
            "category_id": 2,
            "bbox": [0, 0, 30, 20],
            "area": 600.0,
            "iscrowd": 1,
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 600]},
        },
        {
            "id": 10,
            "image_id": 3,
            "category_id": 2,
            "bbox": [-2, 0.1, 3, 4],
            "area": 1 / 3,
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": "0X2``0"},
        },
    ],
}


def content(mend: Callable[[dict], object] | None = None) -> dict:
    """The content of a valid annotation file; ``mend`` may spoil it."""
    fresh = copy.deepcopy(_CONTENT)
    if mend is not None:
        mend(fresh)
    return fresh


def write_json(folder: Path, value: object, *, split: str = "train") -> Path:
    path = folder / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def write_coco(folder: Path, value: dict, *, split: str = "train", images: str = "images") -> Path:
    """Writes annotations and noise images; returns the root."""
    write_json(folder, value, split=split)
    rng = np.random.default_rng(0)
    for image in value["images"]:
        path = folder / images / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return folder
