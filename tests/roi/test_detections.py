import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.detections import DetectionConfig, decode_boxes, detect
from maskrcnn_jax.roi.suppression import (
    GaussianSoftNMSConfig,
    LinearSoftNMSConfig,
    NMSConfig,
)
from tests import tiny

K, NUM_ROIS = 4, 25
CONFIG = DetectionConfig(score_threshold=0.15, nms=NMSConfig(iou_threshold=0.4), max_detections=30)


@partial(jax.jit, static_argnames="config")
def jit_detect(probabilities, boxes, valid, config=CONFIG):
    return detect(probabilities, boxes, valid, config=config)


def random_rois(seed, *, boxes_per_roi=K):
    """Crowded boxes with class probabilities; the last three are not valid."""
    rng = np.random.default_rng(seed)
    boxes = tiny.random_boxes(rng, NUM_ROIS * boxes_per_roi).reshape(NUM_ROIS, boxes_per_roi, 4)
    probabilities = jax.nn.softmax(jnp.asarray(1.5 * rng.normal(size=(NUM_ROIS, K + 1))))
    return np.array(probabilities, np.float32), boxes, np.arange(NUM_ROIS) < NUM_ROIS - 3


def slow_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - width * height)


def slow_detections(probabilities, boxes, valid, config=CONFIG):
    """From the best score down: keep a box, then lower the scores of those that it overlaps."""

    def factor(overlap):
        match config.nms:
            case NMSConfig(iou_threshold=threshold):
                return 0 if overlap > threshold else 1
            case LinearSoftNMSConfig(iou_threshold=threshold):
                return 1 - overlap if overlap > threshold else 1
            case GaussianSoftNMSConfig(sigma=sigma):
                return np.exp(-(overlap**2) / sigma)

    left = [
        [probabilities[i, label], label, boxes[i, label % boxes.shape[1]]]
        for i, label in np.ndindex(NUM_ROIS, K)
        if valid[i] and probabilities[i, label] > config.score_threshold
    ]
    found = []
    while left and len(found) < config.max_detections:
        best = left.pop(int(np.argmax([score for score, _, _ in left])))
        found.append(best)
        for other in left:
            if config.class_agnostic_nms or other[1] == best[1]:
                other[0] = other[0] * factor(slow_iou(other[2], best[2]))
        left = [other for other in left if other[0] > getattr(config.nms, "min_score", 0)]
    return found


@pytest.mark.parametrize("boxes_per_roi", [K, 1])
@pytest.mark.parametrize("seed", range(4))
def test_detections_equal_the_slow_loop(seed, boxes_per_roi):
    assert_as_the_slow_loop(random_rois(seed, boxes_per_roi=boxes_per_roi), CONFIG)


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        NMSConfig(iou_threshold=0.4),
        LinearSoftNMSConfig(iou_threshold=0.2, min_score=0.1),
        GaussianSoftNMSConfig(sigma=0.3, min_score=0.1),
    ],
)
def test_every_kind_of_nms_equals_the_slow_loop(kind, class_agnostic):
    config = dataclasses.replace(CONFIG, nms=kind, class_agnostic_nms=class_agnostic)
    for seed in range(3):
        assert_as_the_slow_loop(random_rois(seed), config)


def assert_as_the_slow_loop(rois, config):
    found, expected = jit_detect(*rois, config=config), slow_detections(*rois, config=config)
    scores, labels, boxes = (np.array(x) for x in zip(*expected, strict=True))
    count = len(expected)
    assert 3 < count <= len(found.valid) == 30
    np.testing.assert_array_equal(found.valid, np.arange(30) < count)
    np.testing.assert_allclose(found.scores[:count], scores, rtol=1e-5)
    np.testing.assert_array_equal(found.mask_scores, found.scores)
    np.testing.assert_array_equal(found.labels[:count], labels)
    np.testing.assert_array_equal(found.boxes[:count], boxes)


def test_no_more_than_the_best_are_kept():
    config = dataclasses.replace(CONFIG, max_detections=3)
    rois = random_rois(0)
    best, all_of_them = jit_detect(*rois, config=config), jit_detect(*rois)
    assert best.valid.all()
    np.testing.assert_array_equal(best.boxes, all_of_them.boxes[:3])


def test_classes_do_not_suppress_each_other_and_equal_boxes_of_one_class_do():
    boxes = np.tile(np.array([[[10, 10, 30, 40]]], np.float32), (3, 1, 1))
    probabilities = np.array(
        [[0.5, 0.3, 0, 0, 0.2], [0.6, 0.2, 0, 0, 0.2], [0.1, 0.4, 0, 0, 0.5]], np.float32
    )
    found = jit_detect(probabilities, boxes, np.ones(3, bool))
    assert found.valid.sum() == 2
    np.testing.assert_array_equal(found.labels[:2], [0, 1])
    np.testing.assert_array_equal(found.scores[:2], np.array([0.6, 0.4], np.float32))


def test_the_threshold_itself_is_not_above_it():
    probabilities = np.array([[0.15, 0.16, 0, 0, 0.69]], np.float32)
    found = jit_detect(probabilities, np.array([[[0, 0, 9, 9]]], np.float32), np.ones(1, bool))
    np.testing.assert_array_equal(found.labels[found.valid], [1])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30, 1.0])
def test_invalid_rois_may_hold_anything(garbage):
    probabilities, boxes, valid = random_rois(1)
    clean = jit_detect(probabilities, boxes, valid)
    probabilities[~valid], boxes[~valid] = garbage, garbage
    jax.tree.map(np.testing.assert_array_equal, clean, jit_detect(probabilities, boxes, valid))


@pytest.mark.parametrize("spoilt", ["probabilities", "boxes"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_rois_that_are_not_finite_are_left_out(garbage, spoilt):
    probabilities, boxes, valid = random_rois(2)
    if spoilt == "probabilities":
        probabilities[4, 1] = garbage
    else:
        boxes[4, 2, 1] = garbage
    found = jit_detect(probabilities, boxes, valid)
    valid[4] = False
    jax.tree.map(np.testing.assert_array_equal, found, jit_detect(probabilities, boxes, valid))


def test_empty_entries_are_zeros_and_masks_have_no_side_yet():
    found = jit_detect(*random_rois(3))
    empty = ~np.asarray(found.valid)
    assert empty.any()
    for values in (found.boxes, found.scores, found.labels):
        assert not np.asarray(values)[empty].any()
    assert found.masks.shape == (30, 0, 0)


@pytest.mark.parametrize("boxes_per_roi", [K, 1])
def test_boxes_are_decoded_for_each_class_and_clipped(boxes_per_roi):
    rng = np.random.default_rng(4)
    rois, size = jnp.asarray(tiny.random_boxes(rng, 6)), jnp.asarray([50, 90])
    deltas = rng.normal(size=(6, boxes_per_roi, 4))
    weights = (10.0, 10.0, 5.0, 5.0)
    decode = jax.jit(partial(decode_boxes, weights=weights))
    found = decode(jnp.asarray(deltas.reshape(6, -1), jnp.float32), rois, size)
    assert found.shape == (6, boxes_per_roi, 4)
    for i, label in np.ndindex(6, boxes_per_roi):
        (x1, y1, x2, y2), (dx, dy, dw, dh) = np.asarray(rois[i]), deltas[i, label] / weights
        width, height = (x2 - x1) * np.exp(dw), (y2 - y1) * np.exp(dh)
        x, y = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
        box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        np.testing.assert_allclose(found[i, label], np.clip(box, 0, [90, 50, 90, 50]), rtol=1e-4)


def test_boxes_with_a_short_side_are_dropped_before_nms():
    config = dataclasses.replace(CONFIG, min_side=16.0)
    probabilities, boxes, valid = random_rois(6)
    sides = (boxes[..., 2:] - boxes[..., :2]).min(-1)
    assert (sides < 16).any()
    assert (sides > 16).any()
    found = jit_detect(probabilities, boxes, valid, config=config)
    without = np.where(sides < 16, 0, probabilities[:, :K])
    probabilities = np.concatenate([without, probabilities[:, K:]], axis=1)
    expected = jit_detect(probabilities, boxes, valid)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_box_of_the_background_takes_no_part():
    probabilities, boxes, valid = random_rois(7)
    more = np.concatenate([boxes, np.full((NUM_ROIS, 1, 4), 7, np.float32)], axis=1)
    a, b = jit_detect(probabilities, boxes, valid), jit_detect(probabilities, more, valid)
    np.testing.assert_array_equal(a.boxes, b.boxes)
