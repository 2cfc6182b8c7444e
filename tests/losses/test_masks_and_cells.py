"""The focal and the Dice loss."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from maskrcnn_jax.losses import dice, focal

rng = np.random.default_rng(0)
LOGITS = jnp.asarray(rng.normal(0, 3, (6, 4)), jnp.float32)
LABELS = jnp.array([0, 4, 3, 1, 4, 4])  # 4 is the background
MASKS = {
    "logits": jnp.asarray(rng.normal(0, 3, (5, 6, 7)), jnp.float32),
    "targets": jnp.asarray(rng.random((5, 6, 7)) < 0.4, jnp.float32),
    "valid": jnp.array([True, True, False, True, False]),
}


def test_focal_equals_the_slow_loop():
    expected = 0.0
    for row, label in zip(np.float64(LOGITS), LABELS, strict=True):
        for k, x in enumerate(row):
            p = 1 / (1 + np.exp(-x))
            p, weight = (p, 0.25) if k == label else (1 - p, 0.75)
            expected -= weight * (1 - p) ** 2 * np.log(p)
    loss = focal(LOGITS, LABELS)
    np.testing.assert_allclose(loss.sum, expected, rtol=1e-5)
    assert loss.count == 3


def test_dice_equals_the_slow_loop():
    expected = 0.0
    for i in (0, 1, 3):
        p, t = 1 / (1 + np.exp(-np.float64(MASKS["logits"][i]))), MASKS["targets"][i]
        squares = (p**2).sum() + 1e-3 + (t**2).sum() + 1e-3
        expected += 1 - 2 * (p * t).sum() / squares
    loss = dice(**MASKS)
    np.testing.assert_allclose(loss.sum, expected, rtol=1e-5)
    assert loss.count == 3


def test_dice_does_not_see_what_is_not_valid():
    keep = MASKS["valid"][:, None, None]

    @jax.jit
    def value_and_grad(logits, targets):
        return jax.value_and_grad(lambda x: dice(x, targets, MASKS["valid"]).sum)(logits)

    spoilt = [jnp.where(keep, MASKS[name], np.nan) for name in ("logits", "targets")]
    found = value_and_grad(*spoilt)
    jax.tree.map(
        np.testing.assert_array_equal, found, value_and_grad(MASKS["logits"], MASKS["targets"])
    )
    assert not found[1][~MASKS["valid"]].any()


def test_gradients_are_right_and_stay_finite():
    def of_masks(x):
        return dice(jnp.asarray(x), MASKS["targets"], MASKS["valid"]).sum

    def of_cells(x):
        return focal(jnp.asarray(x), LABELS).sum

    check_grads(of_cells, (LOGITS / 3,), order=1, modes=["rev"], rtol=2e-2)
    check_grads(of_masks, (MASKS["logits"] / 3,), order=1, modes=["rev"], rtol=2e-2)
    for size in (0.0, 80.0, 1e4):
        assert jnp.isfinite(jax.grad(of_cells)(jnp.sign(LOGITS) * size)).all()
        logits = jnp.full(MASKS["logits"].shape, -size)
        assert jnp.isfinite(jax.grad(of_masks)(logits)).all()
