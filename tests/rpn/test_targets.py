import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.rpn.anchors import AnchorConfig, pyramid_anchors
from maskrcnn_jax.rpn.targets import AnchorSamplingConfig, anchor_targets
from tests import tiny

# Whole numbers, as are the objects' boxes here: equal overlaps are equal to the last bit.
LEVELS = pyramid_anchors(
    AnchorConfig(scales=(4.0,), ratios=(0.25, 1.0, 4.0)), {3: (8, 12), 4: (4, 6)}
)
ANCHORS = np.concatenate(list(LEVELS.values())).astype(np.float32)
EVERYTHING = AnchorSamplingConfig(num_samples=len(ANCHORS), positive_fraction=1.0)


def whole_boxes(seed, count):
    return np.round(tiny.random_boxes(np.random.default_rng(seed), count))


jit_targets = jax.jit(anchor_targets, static_argnames="config")


def targets(boxes, valid, *, config=EVERYTHING, seed=0):
    return jit_targets(
        jnp.asarray(ANCHORS),
        jnp.asarray(boxes, jnp.float32),
        jnp.asarray(valid, bool),
        jax.random.key(seed),
        config=config,
    )


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def slow_labels(boxes, config=EVERYTHING):
    """1, 0 or -1 (ignored) for each anchor, and its matched box."""
    overlaps = np.array([[slow_iou(a, b) for b in boxes] for a in ANCHORS.astype(np.float64)])
    best_of_truth = overlaps.max(0)
    labels, matched = [], []
    for row in overlaps:
        label = 1 if row.max() >= config.positive_from else 0
        if config.negative_below <= row.max() < config.positive_from:
            label = -1
        if any(0 < v == best for v, best in zip(row, best_of_truth, strict=True)):
            label = 1
        labels.append(label)
        matched.append(boxes[row.argmax()])
    return np.array(labels), np.array(matched)


@pytest.mark.parametrize("seed", range(5))
def test_all_targets_equal_the_slow_loop(seed):
    boxes = whole_boxes(seed, 4)
    labels, matched = slow_labels(boxes)
    found = jax.tree.map(np.asarray, targets(boxes, np.ones(4)))
    positive = found.indices[found.valid & found.positive]
    negative = found.indices[found.valid & ~found.positive]
    np.testing.assert_array_equal(np.sort(positive), np.flatnonzero(labels == 1))
    np.testing.assert_array_equal(np.sort(negative), np.flatnonzero(labels == 0))
    assert (labels == -1).any()
    np.testing.assert_array_equal(found.boxes[found.positive], matched[positive])


def test_every_object_has_an_anchor_however_small_their_overlap():
    found = targets([[40, 20, 44, 24]], [True])  # area 16 in anchors of 1024
    assert found.positive.any()
    assert slow_labels(np.array([[40, 20, 44, 24]]))[0].sum() > 0


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_few_balanced_and_rightly_labelled(seed):
    config = AnchorSamplingConfig(num_samples=32, positive_fraction=0.25)
    boxes = whole_boxes(seed, 4)
    labels, _ = slow_labels(boxes)
    found = jax.tree.map(np.asarray, targets(boxes, np.ones(4), config=config, seed=seed))
    assert found.valid.all()
    assert len(set(found.indices)) == 32
    assert found.positive.sum() == min(8, (labels == 1).sum())
    np.testing.assert_array_equal(labels[found.indices], found.positive)


def test_another_key_draws_other_anchors():
    config = AnchorSamplingConfig(num_samples=32)
    boxes = whole_boxes(0, 4)
    draws = [set(np.asarray(targets(boxes, np.ones(4), config=config, seed=s).indices))
             for s in (0, 0, 1)]  # fmt: skip
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30, [8, 8, 40, 40]])
def test_empty_slots_may_hold_anything(garbage):
    boxes, filling = whole_boxes(1, 3), np.broadcast_to(garbage, (2, 4))
    clean = targets(np.concatenate([boxes, np.zeros((2, 4))]), [1, 1, 1, 0, 0])
    dirty = targets(np.concatenate([boxes, filling]), [1, 1, 1, 0, 0])
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)


def test_more_slots_change_nothing():
    boxes = whole_boxes(2, 3)
    few = targets(boxes, np.ones(3))
    many = targets(np.concatenate([boxes, np.zeros((4, 4))]), [1, 1, 1, 0, 0, 0, 0])
    jax.tree.map(np.testing.assert_array_equal, few, many)


def test_the_order_of_the_objects_changes_nothing():
    boxes = whole_boxes(3, 4)
    jax.tree.map(
        np.testing.assert_array_equal,
        targets(boxes, np.ones(4)),
        targets(boxes[::-1], np.ones(4)),
    )


def test_without_objects_all_samples_are_background():
    config = AnchorSamplingConfig(num_samples=32)
    found = targets(whole_boxes(4, 3), np.zeros(3), config=config)
    assert found.valid.all()
    assert not found.positive.any()
    assert not found.boxes.any()
