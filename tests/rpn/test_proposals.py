import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.rpn.anchors import AnchorConfig, pyramid_anchors
from maskrcnn_jax.rpn.proposals import ProposalConfig, propose

SIZE = (50, 90)  # real pixels; the padded image has 64x96
ANCHORS = {
    level: anchors.astype(np.float32)
    for level, anchors in pyramid_anchors(
        AnchorConfig(scales=(4.0,)), {3: (8, 12), 4: (4, 6), 5: (2, 3)}
    ).items()
}
CONFIG = ProposalConfig(before_nms=60, after_nms=40)

jit_propose = jax.jit(propose, static_argnames="config")


def proposals(logits, deltas, *, config=CONFIG, size=SIZE):
    found = jit_propose(logits, deltas, ANCHORS, jnp.asarray(size), config=config)
    return jax.tree.map(np.asarray, found)


def random_outputs(seed):
    rng = np.random.default_rng(seed)
    logits = {level: rng.normal(size=len(a)) for level, a in ANCHORS.items()}
    deltas = {level: rng.normal(size=a.shape) / 2 for level, a in ANCHORS.items()}
    return jax.tree.map(np.float32, (logits, deltas))


def slow_decode(delta, anchor):
    width, height = anchor[2] - anchor[0], anchor[3] - anchor[1]
    x = anchor[0] + width / 2 + delta[0] * width
    y = anchor[1] + height / 2 + delta[1] * height
    width *= math.exp(min(delta[2], math.log(1000 / 16)))
    height *= math.exp(min(delta[3], math.log(1000 / 16)))
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def slow_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - width * height
    return width * height / union


def slow_proposals(logits, deltas, config=CONFIG):
    found = []
    for level, anchors in ANCHORS.items():
        kept = []
        for i in np.argsort(-logits[level])[: config.before_nms]:
            box = slow_decode(deltas[level][i], anchors[i])
            box = np.clip(box, 0, [SIZE[1], SIZE[0], SIZE[1], SIZE[0]])
            if box[2] <= box[0] or box[3] <= box[1]:
                continue
            if all(slow_iou(box, other) <= config.iou_threshold for _, other in kept):
                kept.append((logits[level][i], box))
        found += kept
    return sorted(found, key=lambda pair: -pair[0])[: config.after_nms]


@pytest.mark.parametrize("seed", range(4))
def test_proposals_equal_the_slow_loop(seed):
    logits, deltas = random_outputs(seed)
    found, expected = proposals(logits, deltas), slow_proposals(logits, deltas)
    assert found.valid.all()
    np.testing.assert_array_equal(found.scores, [score for score, _ in expected])
    np.testing.assert_allclose(found.boxes, [box for _, box in expected], rtol=0, atol=1e-4)


def test_with_little_to_choose_from_the_rest_is_invalid():
    config = dataclasses.replace(CONFIG, before_nms=8, after_nms=100, iou_threshold=0.1)
    logits, deltas = random_outputs(0)
    expected = slow_proposals(logits, deltas, config)
    found = proposals(logits, deltas, config=config)
    assert 0 < len(expected) < len(found.valid) <= 100
    np.testing.assert_array_equal(found.valid, np.arange(len(found.valid)) < len(expected))
    np.testing.assert_array_equal(found.scores[found.valid], [score for score, _ in expected])


def test_they_are_sorted_and_inside_the_real_part_of_the_image():
    found = proposals(*random_outputs(1))
    assert found.boxes.shape == (40, 4)
    assert found.boxes.dtype == np.float32
    boxes, scores = found.boxes[found.valid], found.scores[found.valid]
    assert (np.diff(scores) <= 0).all()
    assert (boxes >= 0).all()
    assert (boxes <= [90, 50, 90, 50]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes[:, 2].max() == 90


def test_levels_do_not_suppress_each_other():
    """Every anchor is moved onto the same box: one proposal is left for each level."""
    target = np.array([10, 10, 42, 42])
    logits, _ = random_outputs(2)
    deltas = {}
    for level, anchors in ANCHORS.items():
        size = anchors[:, 2:] - anchors[:, :2]
        shift = (target[:2] + target[2:]) / 2 - (anchors[:, :2] + anchors[:, 2:]) / 2
        deltas[level] = np.concatenate([shift / size, np.log(32 / size)], 1).astype(np.float32)
    found = proposals(logits, deltas)
    assert found.valid.sum() == len(ANCHORS)
    best = sorted((logits[level].max() for level in ANCHORS), reverse=True)
    np.testing.assert_array_equal(found.scores[found.valid], best)
    expected = np.tile(target, (len(ANCHORS), 1))
    np.testing.assert_allclose(found.boxes[found.valid], expected, atol=1e-4)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spoilt", ["logits", "deltas"])
def test_outputs_that_are_not_finite_are_dropped(garbage, spoilt):
    logits, deltas = random_outputs(3)
    place = logits[3].argmax()
    if spoilt == "logits":
        logits[3][place] = garbage
    else:
        deltas[3][place, 0] = garbage
    found = proposals(logits, deltas)
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores[found.valid]).all()
    logits[3][place], deltas[3][place] = -1e9, 0  # as if that anchor had come last
    expected = proposals(logits, deltas)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_an_image_without_area_has_no_proposals():
    assert not proposals(*random_outputs(4), size=(0, 90)).valid.any()


def test_no_gradient_flows_back():
    def total(logits, deltas):
        found = jit_propose(logits, deltas, ANCHORS, jnp.asarray(SIZE), config=CONFIG)
        return found.boxes.sum() + found.scores.sum()

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(*random_outputs(5))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_boxes_with_a_short_side_are_dropped():
    logits, deltas = random_outputs(8)
    everything = dataclasses.replace(CONFIG, iou_threshold=1.0)
    sides = [
        (found.boxes[:, 2:] - found.boxes[:, :2])[found.valid].min()
        for found in (
            proposals(logits, deltas, config=dataclasses.replace(everything, min_side=side))
            for side in (0.0, 12.0)
        )
    ]
    assert sides[0] < 12 <= sides[1]


def test_shrinking_is_limited_on_request():
    logits, deltas = random_outputs(9)
    deltas = {
        level: np.where(np.arange(4) > 1, -9, x).astype(np.float32) for level, x in deltas.items()
    }
    free, limited = (
        proposals(logits, deltas, config=dataclasses.replace(CONFIG, limit_shrinking=limit))
        for limit in (False, True)
    )
    smallest = 16 * 2**-0.5 * 16 / 1000  # an anchor's shorter side, shrunk by 1000 / 16
    assert (free.boxes[:, 2] - free.boxes[:, 0])[free.valid].max() < smallest
    inside = limited.valid & (limited.boxes > 1).all(-1) & (limited.boxes[:, 2] < 89)
    assert inside.any()
    assert (limited.boxes[:, 2] - limited.boxes[:, 0])[inside].min() > 0.9 * smallest
