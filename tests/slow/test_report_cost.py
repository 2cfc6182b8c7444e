"""The page of an evaluation of COCO's size is written in seconds."""

import time

import numpy as np
import pycocotools.mask
import pytest

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import CocoTruth, TrueObject
from maskrcnn_jax.evaluation.report import write_report

NUM_IMAGES, NUM_DETECTIONS, NUM_CLASSES, SIZE = 5000, 100, 80, (480, 640)


def squares(boxes):
    outlines = [[x, y, x + w, y, x + w, y + h, x, y + h] for x, y, w, h in boxes.tolist()]
    rles = pycocotools.mask.frPyObjects(outlines, *SIZE) if outlines else []
    return [{"size": item["size"], "counts": item["counts"].decode()} for item in rles]


def image(rng, image_id):
    """About seven objects, and detections near them."""
    count = 1 + rng.poisson(6.3)
    sides = np.exp(rng.normal(4, 0.8, (count, 2))).clip(8, 400)
    true = np.concatenate([rng.uniform(size=(count, 2)) * (600 - sides).clip(1), sides], axis=1)
    labels = (NUM_CLASSES * rng.uniform(size=count) ** 2).astype(int)
    near = rng.integers(count, size=NUM_DETECTIONS)
    noise = rng.choice([0.03, 0.1, 0.3], (NUM_DETECTIONS, 1)) * rng.normal(size=(NUM_DETECTIONS, 4))
    found = true[near]
    found[:, :2] = (found[:, :2] + found[:, 2:] * noise[:, :2]).clip(0, 470)
    found[:, 2:] *= np.exp(noise[:, 2:])
    others = rng.integers(NUM_CLASSES, size=NUM_DETECTIONS)
    classes = np.where(rng.uniform(size=NUM_DETECTIONS) < 0.8, labels[near], others)
    objects = [
        TrueObject(
            image_id=image_id,
            category_id=int(label),
            box=tuple(box),
            area=box[2] * box[3],
            is_crowd=False,
            segmentation=mask,
        )
        for box, label, mask in zip(true.tolist(), labels, squares(true), strict=True)
    ]
    rows = zip(found.tolist(), classes, rng.beta(1, 4, NUM_DETECTIONS), squares(found), strict=True)
    results = [
        {
            "image_id": image_id,
            "category_id": int(label),
            "bbox": box,
            "score": float(score),
            "segmentation": mask,
        }
        for box, label, score, mask in rows
    ]
    return objects, results


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_statistics_and_page_take_seconds(tmp_path, iou_type):
    rng = np.random.default_rng(0)
    ids = range(1, NUM_IMAGES + 1)
    objects, results = [], []
    for image_id in ids:
        for everything, some in zip((objects, results), image(rng, image_id), strict=True):
            everything.extend(some)
    truth = CocoTruth(
        image_sizes=dict.fromkeys(ids, SIZE),
        file_names={image_id: f"{image_id}.jpg" for image_id in ids},
        categories=tuple(Category(id=i, name=f"class {i}") for i in range(NUM_CLASSES)),
        objects=tuple(objects),
    )
    start = time.process_time()
    scores = evaluate(truth, results, iou_types=(iou_type,))
    middle = time.process_time()
    path = write_report(tmp_path, truth, results, scores, title="synthetic", source=None)
    end = time.process_time()
    size = path.stat().st_size / 1e6
    print(
        f"\n{iou_type}: evaluation {middle - start:.1f} s, page {end - middle:.1f} s, {size:.1f} MB"
    )
    assert end - middle < 10
