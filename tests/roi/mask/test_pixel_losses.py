import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.roi.mask.pixel_losses import (
    BinaryCrossEntropyConfig,
    GeneralisedCrossEntropyConfig,
    PixelLossConfig,
    SoftMaskLossConfig,
    soft_targets,
)
from maskrcnn_jax.serialization import from_json, to_json
from tests.ops.test_distance import slow_distance

SIDE, COUNT = 8, 6
CONFIGS = {
    "cross_entropy": BinaryCrossEntropyConfig(),
    "generalised": GeneralisedCrossEntropyConfig(q=0.4),
    "soft": SoftMaskLossConfig(width=1.5),
}
every_loss = pytest.mark.parametrize("name", CONFIGS)


def random_inputs(seed, dtype=np.float32):
    """Logits, targets and valid; the last two masks are not valid."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(COUNT, SIDE, SIDE), scale=2).astype(dtype)
    targets = (rng.random((COUNT, SIDE, SIDE)) < 0.8).astype(dtype)
    return logits, targets, np.arange(COUNT) < COUNT - 2


@functools.cache
def loss_and_gradient(name):
    loss = CONFIGS[name].build()
    return jax.jit(jax.value_and_grad(lambda *given: loss(*given).sum))


def slow_loss(name, logit, target, distance):
    p = 1 / (1 + math.exp(-logit))
    if name == "soft":
        return abs(p - min(max(0.5 + distance / 3, 0), 1))
    p = p if target else 1 - p
    return -math.log(p) if name == "cross_entropy" else (1 - p**0.4) / 0.4


@pytest.mark.usefixtures("x64")
@every_loss
def test_the_loss_equals_the_slow_loop(name):
    logits, targets, valid = random_inputs(0, np.float64)
    expected = 0.0
    for i in np.flatnonzero(valid):
        distances = slow_distance(targets[i] > 0)
        expected += sum(
            slow_loss(name, logits[i][place], targets[i][place], distances[place])
            for place in np.ndindex(SIDE, SIDE)
        )
    loss = jax.jit(CONFIGS[name].build())(logits, targets, valid)
    np.testing.assert_allclose(loss.sum, expected, rtol=1e-12)
    assert loss.count == 4 * SIDE**2


@every_loss
def test_masks_that_are_not_valid_may_hold_anything(name):
    logits, targets, valid = random_inputs(1)
    clean = loss_and_gradient(name)(logits, targets, valid)
    logits[~valid] = targets[~valid] = np.nan
    dirty = loss_and_gradient(name)(logits, targets, valid)
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    assert dirty[1][valid].all()
    nothing = loss_and_gradient(name)(logits, targets, np.zeros(COUNT, bool))
    assert nothing[0] == 0
    assert not nothing[1].any()


@every_loss
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_large_logits_and_masks_without_an_outline_give_finite_numbers(name, logit):
    _, targets, valid = random_inputs(2)
    targets[:2] = np.array([0, 1])[:, None, None]
    value, gradient = loss_and_gradient(name)(np.full_like(targets, logit), targets, valid)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


_soft_targets = jax.jit(soft_targets, static_argnames="width")


def test_soft_targets_are_the_mask_where_the_outline_is_sharp_and_around_it_otherwise():
    masks = random_inputs(3)[1] > 0
    sharp, soft = (_soft_targets(masks, width=width) for width in (0.5, 3.0))
    np.testing.assert_array_equal(sharp, masks)
    np.testing.assert_array_equal(np.asarray(soft) >= 0.5, masks)
    assert ((soft > 0) & (soft < 1)).mean() > 0.9
    opposite = _soft_targets(~masks, width=3.0)
    np.testing.assert_allclose(opposite, 1 - soft, atol=1e-6)


def test_soft_targets_rise_evenly_over_a_straight_outline():
    mask = np.arange(SIDE) >= 4
    found = _soft_targets(np.broadcast_to(mask, (1, SIDE, SIDE)), width=2.0)
    expected = [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    np.testing.assert_allclose(found[0], np.broadcast_to(expected, (SIDE, SIDE)), atol=1e-6)


def test_empty_and_full_masks_have_targets_of_0_and_1():
    masks = jnp.broadcast_to(jnp.asarray([False, True])[:, None, None], (2, SIDE, SIDE))
    np.testing.assert_array_equal(_soft_targets(masks, width=2.0), masks)


@pytest.mark.parametrize("q", [0.0, -0.1, 1.01, math.nan])
def test_a_wrong_exponent_is_refused(q):
    with pytest.raises(InputError, match="q of the generalised cross entropy must be above 0"):
        GeneralisedCrossEntropyConfig(q=q)


@pytest.mark.parametrize("width", [0.0, -1.0, math.inf, math.nan])
def test_a_wrong_width_is_refused(width):
    with pytest.raises(InputError, match="width of the soft mask loss must be above 0"):
        SoftMaskLossConfig(width=width)


@every_loss
def test_a_loss_survives_json(name):
    config = CONFIGS[name]
    assert from_json(PixelLossConfig, to_json(config), where="test") == config
