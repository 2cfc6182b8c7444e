import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from maskrcnn_jax.losses import focal

LOGITS = jnp.asarray(np.random.default_rng(0).normal(0, 3, (6, 4)), jnp.float32)
LABELS = jnp.array([0, 4, 3, 1, 4, 4])  # 4 is the background


def test_it_equals_the_slow_loop():
    expected = 0.0
    for row, label in zip(np.float64(LOGITS), LABELS, strict=True):
        for k, x in enumerate(row):
            p = 1 / (1 + np.exp(-x))
            p, weight = (p, 0.25) if k == label else (1 - p, 0.75)
            expected -= weight * (1 - p) ** 2 * np.log(p)
    loss = focal(LOGITS, LABELS)
    np.testing.assert_allclose(loss.sum, expected, rtol=1e-5)
    assert loss.count == 3


def test_gradients_are_right_and_stay_finite():
    def total(x):
        return focal(jnp.asarray(x), LABELS).sum

    check_grads(total, (LOGITS / 3,), order=1, modes=["rev"], rtol=2e-2)
    for size in (0.0, 80.0, 1e4):
        assert jnp.isfinite(jax.grad(total)(jnp.sign(LOGITS) * size)).all()
