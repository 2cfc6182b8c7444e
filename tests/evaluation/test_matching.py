"""Matches and precision against pycocotools, where the rules are hard to get right."""

import numpy as np
import pytest

from maskrcnn_jax.data import rle
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import CocoTruth, TrueObject
from tests.evaluation import plain

SIZE = (60, 140)


def rectangle(box):
    x, y, width, height = (int(side) for side in box)
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return rle.encode(mask)


def random_box(rng, *, step):
    """On a coarse grid, so that some are equal, and some overlap equally with another."""
    x, y = (int(step * rng.integers(0, side // step - 1)) for side in (SIZE[1], SIZE[0]))
    width = int(step * rng.integers(1, (SIZE[1] - x) // step + 1))
    height = int(step * rng.integers(1, (SIZE[0] - y) // step + 1))
    return [x, y, width, height]


def scene(seed, *, num_images=6, objects=9, detections=25, step=8):
    """Truth and results; areas at the borders of sizes, scores and overlaps that are equal."""
    rng = np.random.default_rng(seed)
    classes = [Category(id=id, name=str(id)) for id in (2, 5, 9)]
    wanted = []
    for image_id in (11, 4, 30, 8, 5, 6)[:num_images]:
        for _ in range(rng.integers(0, objects)):
            box = random_box(rng, step=step)
            area = box[2] * box[3] if rng.random() < 0.7 else rng.choice([0, 32**2, 96**2, 1e11])
            wanted.append(
                TrueObject(
                    image_id=image_id,
                    category_id=int(rng.choice([2, 5])),
                    box=tuple(map(float, box)),
                    area=float(area),
                    is_crowd=bool(rng.random() < 0.2),
                    segmentation=rectangle(box),
                )
            )
    found = []
    for image_id in (11, 4, 30, 8, 5, 6)[:num_images]:
        near = [item.box for item in wanted if item.image_id == image_id]
        for _ in range(rng.integers(0, detections)):
            use_near = near and rng.random() < 0.7
            box = near[rng.integers(len(near))] if use_near else random_box(rng, step=step)
            if rng.random() < 0.3:
                box = [*box[:2], box[2] / 2, box[3]]  # of its object .5, a threshold
            found.append(
                {
                    "image_id": image_id,
                    "category_id": int(rng.choice([2, 5, 9])),
                    "bbox": list(map(float, box)),
                    "score": float(rng.integers(0, 6) / 5),
                    "segmentation": rectangle(box),
                }
            )
    truth = CocoTruth(
        image_sizes=dict.fromkeys((11, 4, 30, 8, 5, 6), SIZE),
        file_names={},
        categories=tuple(classes),
        objects=tuple(wanted),
    )
    return truth, found


def assert_like_pycocotools(truth, results, iou_type):
    scores = evaluate(truth, results, iou_types=(iou_type,))[iou_type]
    expected = plain.evaluated(truth, results, iou_type)
    np.testing.assert_array_equal(list(scores.summary.values()), plain.summary(expected))
    np.testing.assert_array_equal(scores.evidence.precision, plain.precision(expected))
    ours, theirs = scores.evidence.matches, plain.matches(expected)
    for name in ("results", "objects", "ignored", "counted"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_ties_crowds_and_sizes(iou_type):
    for seed in range(12):
        assert_like_pycocotools(*scene(seed), iou_type)


def test_more_detections_of_a_class_than_count():
    for seed in range(3):
        truth, results = scene(seed, num_images=2, detections=700)
        assert len(results) > 600
        assert_like_pycocotools(truth, results, "bbox")


def test_hundreds_of_objects_in_one_image():
    truth, results = scene(1, num_images=1, objects=500, detections=150, step=2)
    assert len(truth.objects) > 200
    assert_like_pycocotools(truth, results, "bbox")


def test_the_order_of_equal_scores_is_that_of_the_results():
    truth, results = scene(3)
    for item in results:
        item["score"] = 0.5
    assert_like_pycocotools(truth, results, "bbox")
    assert_like_pycocotools(truth, results[::-1], "bbox")


def test_nothing_anywhere():
    truth, _ = scene(0, objects=1)
    assert not truth.objects
    assert_like_pycocotools(truth, [], "bbox")
    assert_like_pycocotools(*scene(0, objects=1), "bbox")
    assert_like_pycocotools(scene(0)[0], [], "segm")
