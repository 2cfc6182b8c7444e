import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from maskrcnn_jax.losses import smooth_dice

_dice = jax.jit(smooth_dice)


def random_inputs(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4, 5, 6), scale=3).astype(dtype)
    targets = (rng.random((4, 5, 6)) < 0.3).astype(dtype)
    return logits, targets, np.array([True, False, True, True])


@pytest.mark.usefixtures("x64")
def test_sum_and_count_equal_the_slow_loop():
    logits, targets, valid = random_inputs(0, np.float64)
    expected = 0.0
    for i in np.flatnonzero(valid):
        both = of_logits = of_targets = 0.0
        for place in np.ndindex(5, 6):
            p, t = 1 / (1 + np.exp(-logits[i][place])), targets[i][place]
            both, of_logits, of_targets = both + p * t, of_logits + p, of_targets + t
        expected += 1 - (2 * both + 1) / (of_logits + of_targets + 1)
    term = _dice(logits, targets, valid)
    np.testing.assert_allclose(term.sum, expected, rtol=1e-13)
    assert term.count == 3
    check_grads(lambda x: _dice(x, targets, valid).sum, (logits,), order=1)


def test_it_lies_between_0_for_the_mask_itself_and_1():
    _, targets, valid = random_inputs(1)
    sure = 100 * (2 * targets - 1)
    np.testing.assert_allclose(_dice(sure, targets, valid).sum, 0, atol=1e-6)
    apart = 1 - 1 / (5 * 6 + 1)  # nothing in common
    np.testing.assert_allclose(_dice(-sure, targets, valid).mean, apart, atol=1e-6)
    empty = np.zeros_like(targets)
    np.testing.assert_allclose(_dice(empty - 100, empty, valid).sum, 0, atol=1e-6)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e38])
def test_garbage_in_invalid_masks_changes_nothing(garbage):
    logits, targets, valid = random_inputs(2)
    total = jax.jit(jax.value_and_grad(lambda *given: smooth_dice(*given).sum))
    clean = total(logits, targets, valid)
    logits[~valid] = targets[~valid] = garbage
    dirty = total(logits, targets, valid)
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    assert dirty[1][valid].any()
    assert not total(logits, targets, np.zeros(4, bool))[1].any()
