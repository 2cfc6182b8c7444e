import math

import numpy as np
import pycocotools.mask
import pytest

from maskrcnn_jax.evaluation.coco import evaluate


def mean_iou(truth, results):
    return evaluate(truth, results, iou_types=("segm",))["segm"].mean_matched_iou


def rectangle(x, y, width, height):
    mask = np.zeros((120, 160), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    encoded = pycocotools.mask.encode(mask)
    return {"size": [120, 160], "counts": encoded["counts"].decode()}


def test_perfect_masks_have_one_and_bad_masks_lower_the_mean(truth, perfect):
    assert mean_iou(truth, perfect) == 1
    perfect[1]["segmentation"] = rectangle(60, 20, 50, 20)  # 0.4 of a square of 50
    assert mean_iou(truth, perfect) == pytest.approx((1 + 0.4 + 1 + 1) / 4)


def test_boxes_decide_what_matches(truth, perfect):
    perfect[0]["bbox"] = [100, 100, 5, 5]
    perfect[1]["segmentation"] = rectangle(60, 20, 50, 20)
    assert mean_iou(truth, perfect) == pytest.approx((0.4 + 1 + 1) / 3)


def test_the_better_score_takes_the_object(truth, perfect):
    rival = perfect[1] | {"score": 0.1, "segmentation": rectangle(60, 20, 5, 5)}
    assert mean_iou(truth, [rival, *perfect]) == 1


def test_crowds_and_other_classes_take_no_part(truth, perfect):
    in_crowd = perfect[3] | {"bbox": [0, 0, 60, 60], "segmentation": rectangle(0, 0, 9, 9)}
    assert mean_iou(truth, [*perfect, in_crowd]) == 1
    other_class = [perfect[0] | {"category_id": 6}]
    assert math.isnan(mean_iou(truth, other_class))


def test_only_the_chosen_images_count(truth, perfect):
    perfect[1]["segmentation"] = rectangle(60, 20, 50, 20)  # in image 7
    for image_ids, expected in (([7], (1 + 0.4 + 1) / 3), ([3, 5], 1)):
        scores = evaluate(truth, perfect, iou_types=("segm",), image_ids=image_ids)["segm"]
        assert scores.mean_matched_iou == pytest.approx(expected)
