"""Evaluations that tests of the report start from: random ones, and one with an error of each kind.

Boxes alone unless said otherwise.
"""

import dataclasses

import numpy as np

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import CocoTruth, TrueObject
from maskrcnn_jax.evaluation.report.findings import find

SIDE = 100


def truth_of(objects, *, names=("cat", "dog", "fox"), num_images=1):
    """``objects`` are (image, label, box), image ids count from 1, category ids are 10 * label."""
    return CocoTruth(
        image_sizes=dict.fromkeys(range(1, num_images + 1), (SIDE, SIDE)),
        file_names={key: f"{key}.png" for key in range(1, num_images + 1)},
        categories=tuple(Category(id=10 * i, name=name) for i, name in enumerate(names)),
        objects=tuple(true_object(*item) for item in objects),
    )


def true_object(image, label, box, is_crowd=False):
    return TrueObject(
        image_id=image,
        category_id=10 * label,
        box=tuple(box),
        area=box[2] * box[3],
        is_crowd=is_crowd,
        segmentation=mask(box),
    )


def result(image, label, box, score, **other):
    return {"image_id": image, "category_id": 10 * label, "bbox": list(box), "score": score} | other


def mask(box):
    x, y, w, h = box
    outline = [x, y, x + w, y, x + w, y + h, x, y + h]
    return rle.compressed([outline], height=SIDE, width=SIDE)


def with_masks(results):
    return [item | {"segmentation": mask(item["bbox"])} for item in results]


def findings_of(truth, results, *, iou_types=("bbox",), title="a title"):
    return find(truth, results, evaluate(truth, results, iou_types=iou_types), title=title)


def one_of_each():
    """In the order of ``Kind``: a wrong detection of each kind; then what is right."""
    cat, dog, fox, far = (0, 0, 20, 20), (40, 0, 20, 20), (0, 50, 20, 20), (75, 75, 20, 20)
    truth = truth_of([(1, 0, cat), (1, 1, dog), (1, 2, fox), (1, 2, far)])
    wrong = [
        result(1, 0, dog, 0.8),  # class
        result(1, 2, (10, 50, 20, 20), 0.7),  # localisation: IoU 1/3
        result(1, 1, (10, 0, 20, 20), 0.6),  # both: 1/3 of the cat
        result(1, 0, (1, 0, 20, 20), 0.5),  # duplicate
        result(1, 1, (70, 40, 9, 9), 0.4),  # background
    ]
    return truth, [*wrong, result(1, 0, cat, 0.9)]


def case_for_tide(seed):
    """Without crowds, and without equal scores, whose order is another after mending in tidecv."""
    truth, results = random_case(seed)
    objects = tuple(item for item in truth.objects if not item.is_crowd)
    distinct = [item | {"score": item["score"] + i / 2**20} for i, item in enumerate(results)]
    return dataclasses.replace(truth, objects=objects), distinct


def random_case(seed, *, num_images=6, num_categories=3):
    """Objects in crowded images, some of them crowds; detections near them, some elsewhere."""
    rng = np.random.default_rng(seed)
    objects, results = [], []
    for image in range(1, num_images + 1):
        boxes = np.concatenate([rng.uniform(0, 60, (4, 2)), rng.uniform(15, 40, (4, 2))], axis=1)
        labels = rng.integers(num_categories, size=4)
        for box, label in zip(boxes, labels, strict=True):
            objects.append((image, int(label), box.tolist(), bool(rng.uniform() < 0.1)))
        for _ in range(12):
            which = rng.integers(4)
            box = np.abs(boxes[which] + rng.normal(size=4) * rng.choice([1, 4, 12]))
            label = labels[which] if rng.uniform() < 0.7 else rng.integers(num_categories)
            results.append(result(image, int(label), box.tolist(), round(rng.uniform(), 2)))
    return truth_of(objects, num_images=num_images), results
