import copy
import json

import numpy as np
import pytest

from maskrcnn_jax.evaluation.ground_truth import read_truth

HEIGHT, WIDTH = 120, 160


def annotation(identity, image_id, category_id, x, y, side, **other):
    square = [x, y, x + side, y, x + side, y + side, x, y + side]
    return {
        "id": identity,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x, y, side, side],
        "area": side * side,
        "iscrowd": 0,
        "segmentation": [square],
    } | other


def coco_content():
    """Two images with objects, one without; a crowd; a class that never occurs."""
    left = {"size": [HEIGHT, WIDTH], "counts": [0, 60 * HEIGHT, HEIGHT * (WIDTH - 60)]}
    images = [
        {"id": key, "height": HEIGHT, "width": WIDTH, "file_name": f"{key}.jpg"}
        for key in (7, 3, 5)
    ]
    names = {4: "dog", 10: "cat", 6: "unicorn"}
    return {
        "images": images,
        "categories": [{"id": key, "name": name} for key, name in names.items()],
        "annotations": [
            annotation(0, 7, 10, 10, 10, 20),
            annotation(1, 7, 10, 60, 20, 50),
            annotation(2, 7, 4, 30, 60, 40),
            annotation(3, 3, 4, 61, 5, 97),
            annotation(4, 3, 4, 0, 0, 60, iscrowd=1, segmentation=left),
        ],
    }


@pytest.fixture
def content():
    return coco_content()


@pytest.fixture
def write(tmp_path):
    def write(value, name="annotations.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


@pytest.fixture
def truth(content, write):
    return read_truth(write(content))


@pytest.fixture
def perfect(truth):
    """Results that find every object exactly, crowds excepted, with distinct scores."""
    objects = [item for item in truth.objects if not item.is_crowd]
    scores = np.linspace(0.9, 0.5, len(objects)).tolist()
    return [
        {
            "image_id": item.image_id,
            "category_id": item.category_id,
            "bbox": list(item.box),
            "score": score,
            "segmentation": copy.deepcopy(item.segmentation),
        }
        for item, score in zip(objects, scores, strict=True)
    ]
