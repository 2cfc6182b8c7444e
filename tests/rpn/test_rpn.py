import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.rpn.anchors import AnchorConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.rpn import RPNConfig, rpn_losses
from maskrcnn_jax.rpn.targets import AnchorSamplingConfig, AnchorTargets
from tests import tiny

CONFIG = RPNConfig(
    anchors=AnchorConfig(scales=(4.0,)),
    sampling=AnchorSamplingConfig(num_samples=16),
    train_proposals=ProposalConfig(before_nms=20, after_nms=12),
    test_proposals=ProposalConfig(before_nms=20, after_nms=7),
)


FEATURES = {level: jnp.zeros((2, 64 // 2**level, 96 // 2**level, 4)) for level in (3, 4)}
SIZES = jnp.asarray([[64, 96], [64, 96]])
RPN = CONFIG.build()


def random_targets(seed, num_anchors, num_samples=16, num_images=2):
    rng = np.random.default_rng(seed)
    shape = (num_images, num_samples)
    boxes = tiny.random_boxes(rng, num_images * num_samples).reshape(*shape, 4)
    valid = np.arange(num_samples) < 12
    return AnchorTargets(
        indices=jnp.asarray(rng.integers(0, num_anchors, shape)),
        positive=jnp.asarray((rng.random(shape) < 0.4) & valid),
        valid=jnp.broadcast_to(jnp.asarray(valid), shape),
        boxes=jnp.asarray(boxes),
    )


def slow_smooth_l1(error, beta):
    error = abs(error)
    return error - beta / 2 if error >= beta else error**2 / (2 * beta)


@pytest.mark.parametrize("beta", [0.0, 1 / 9])
def test_losses_equal_the_slow_loop(beta):
    rng = np.random.default_rng(0)
    anchors = tiny.random_boxes(rng, 30)
    logits, deltas = rng.normal(size=(2, 30)), 0.3 * rng.normal(size=(2, 30, 4))
    targets = random_targets(1, 30)
    config = dataclasses.replace(CONFIG, smooth_l1_beta=beta)
    losses = jax.jit(partial(rpn_losses, config=config))(
        np.float32(logits), np.float32(deltas), anchors, targets
    )
    objectness = box = 0.0
    for image in range(2):
        for s in np.flatnonzero(targets.valid[image]):
            i, positive = targets.indices[image, s], targets.positive[image, s]
            p = 1 / (1 + np.exp(-logits[image, i]))
            objectness -= np.log(p if positive else 1 - p)
            if positive:
                (x, y, x2, y2), (a, b, a2, b2) = np.asarray(targets.boxes[image, s]), anchors[i]
                centre = [(x + x2 - a - a2) / 2 / (a2 - a), (y + y2 - b - b2) / 2 / (b2 - b)]
                size = [np.log((x2 - x) / (a2 - a)), np.log((y2 - y) / (b2 - b))]
                error = deltas[image, i] - np.array(centre + size)
                box += sum(slow_smooth_l1(e, beta) for e in error)
    np.testing.assert_allclose(losses["rpn_objectness"].sum, objectness, rtol=1e-5)
    np.testing.assert_allclose(losses["rpn_box"].sum, box, rtol=1e-5)
    assert losses["rpn_objectness"].count == losses["rpn_box"].count == 2 * 16


def test_invalid_samples_change_nothing():
    rng = np.random.default_rng(0)
    anchors = jnp.asarray(tiny.random_boxes(rng, 30))
    outputs = jax.tree.map(np.float32, (rng.normal(size=(2, 30)), rng.normal(size=(2, 30, 4))))
    targets = random_targets(1, 30)
    dirty = targets._replace(
        boxes=jnp.where(targets.positive[..., None], targets.boxes, jnp.nan),
        indices=jnp.where(targets.valid, targets.indices, 3),
    )

    @jax.jit
    @jax.value_and_grad
    def total(outputs, targets):
        logits, deltas = outputs
        losses = rpn_losses(logits, deltas, anchors, targets, config=CONFIG)
        return sum(term.sum for term in losses.values())

    clean, spoilt = total(outputs, targets), total(outputs, dirty)
    assert np.any(clean[1][0])
    assert np.any(clean[1][1])
    jax.tree.map(np.testing.assert_array_equal, clean, spoilt)


def predicted(features, params):
    variables = {"params": {"head": params}}
    return jax.jit(lambda v, x: RPN.apply(v, x, SIZES, method="predict"))(variables, features)


def test_outputs_are_in_the_order_of_the_anchors():
    """A head made by hand: channel r of a feature is the logit of ratio r at its own cell."""
    kernel = np.zeros((3, 3, 4, 4))
    kernel[1, 1] = np.eye(4)
    shift = np.zeros((3, 4))
    shift[:, 0], shift[:, 3] = (0.1, 0.2, 0.3), np.log((1.0, 1.2, 1.4))  # dx and dh of a ratio
    params = {
        "conv": {"kernel": kernel, "bias": np.zeros(4)},
        "objectness": {"kernel": np.eye(4, 3)[None, None], "bias": np.zeros(3)},
        "deltas": {"kernel": np.zeros((1, 1, 4, 12)), "bias": shift.reshape(-1)},
    }
    features = dict(FEATURES)
    features[4] = features[4].at[0, 2, 3, 1].set(5.0).at[1, 1, 2, 2].set(5.0)
    features[3] = features[3].at[0, 4, 5, 0].set(4.0)
    found = predicted(features, jax.tree.map(np.float32, params))

    def box(*, centre, side, ratio, dx, growth):
        width, height = side / ratio**0.5, side * ratio**0.5
        x, y = centre[0] + dx * width, centre[1]
        height *= growth
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]

    expected = [
        box(centre=(3 * 16, 2 * 16), side=64, ratio=1, dx=0.2, growth=1.2),
        box(centre=(5 * 8, 4 * 8), side=32, ratio=0.5, dx=0.1, growth=1),
    ]
    np.testing.assert_array_equal(found.scores[0, :2], [5, 4])
    np.testing.assert_allclose(
        found.boxes[0, :2], np.clip(expected, 0, [96, 64, 96, 64]), rtol=1e-5
    )
    other = box(centre=(2 * 16, 16), side=64, ratio=2, dx=0.3, growth=1.4)
    np.testing.assert_allclose(found.boxes[1, 0], np.clip(other, 0, [96, 64, 96, 64]), rtol=1e-5)


def test_loss_and_predict_share_parameters_and_have_their_own_numbers_of_proposals():
    truth, keys = tiny.random_batch(0).ground_truth, tiny.image_keys(2)
    loss = partial(RPN.init_with_output, method="loss")
    predict = partial(RPN.init_with_output, method="predict")
    (_, proposals), with_loss = jax.eval_shape(loss, keys[0], FEATURES, SIZES, truth, keys)
    assert proposals.boxes.shape == (2, 12, 4)
    proposals, with_predict = jax.eval_shape(predict, keys[0], FEATURES, SIZES)
    assert proposals.boxes.shape == (2, 7, 4)
    assert with_loss == with_predict


def test_losses_can_be_divided_by_the_samples_that_were_found():
    rng = np.random.default_rng(0)
    anchors = jnp.asarray(tiny.random_boxes(rng, 30))
    outputs = jax.tree.map(jnp.asarray, (rng.normal(size=(2, 30)), rng.normal(size=(2, 30, 4))))
    targets = random_targets(1, 30)
    wanted = rpn_losses(*outputs, anchors, targets, config=CONFIG)
    config = dataclasses.replace(CONFIG, divided_by="found")
    found = rpn_losses(*outputs, anchors, targets, config=config)
    for name, term in found.items():
        assert term.sum == wanted[name].sum
        assert term.count == 2 * 12 < wanted[name].count
