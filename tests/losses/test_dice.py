import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from maskrcnn_jax.losses import dice, smooth_dice

LOSSES = {"dice": jax.jit(dice), "smooth": jax.jit(smooth_dice)}


def random_inputs(seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4, 5, 6), scale=3).astype(dtype)
    targets = (rng.random((4, 5, 6)) < 0.3).astype(dtype)
    return logits, targets, np.array([True, False, True, True])


def slow_loss(kind, logits, targets):
    """Of one mask, cell by cell."""
    both = total = 0.0
    for place in np.ndindex(*logits.shape):
        p, t = 1 / (1 + np.exp(-logits[place])), targets[place]
        both, total = both + p * t, total + (p + t if kind == "smooth" else p**2 + t**2)
    return 1 - (2 * both + 1) / (total + 1) if kind == "smooth" else 1 - 2 * both / (total + 2e-3)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", LOSSES)
def test_sum_and_count_equal_the_slow_loop(kind):
    logits, targets, valid = random_inputs(0, np.float64)
    term = LOSSES[kind](logits, targets, valid)
    expected = sum(slow_loss(kind, logits[i], targets[i]) for i in np.flatnonzero(valid))
    np.testing.assert_allclose(term.sum, expected, rtol=1e-13)
    assert term.count == 3
    check_grads(lambda x: LOSSES[kind](x, targets, valid).sum, (logits,), order=1)


@pytest.mark.parametrize(("kind", "of_empty"), [("dice", 1), ("smooth", 0)])
def test_it_lies_between_0_for_the_mask_itself_and_1(kind, of_empty):
    _, targets, valid = random_inputs(1)
    sure = 100 * (2 * targets - 1)
    np.testing.assert_allclose(LOSSES[kind](sure, targets, valid).mean, 0, atol=1e-3)
    apart = 1 - 1 / (5 * 6 + 1) if kind == "smooth" else 1  # nothing in common
    np.testing.assert_allclose(LOSSES[kind](-sure, targets, valid).mean, apart, atol=1e-6)
    empty = np.zeros_like(targets)
    np.testing.assert_allclose(LOSSES[kind](empty - 100, empty, valid).mean, of_empty, atol=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e38])
def test_garbage_in_invalid_masks_changes_nothing(kind, garbage):
    logits, targets, valid = random_inputs(2)
    total = jax.jit(jax.value_and_grad(lambda *given: LOSSES[kind](*given).sum))
    clean = total(logits, targets, valid)
    logits[~valid] = targets[~valid] = garbage
    dirty = total(logits, targets, valid)
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    assert dirty[1][valid].any()
    assert not total(logits, targets, np.zeros(4, bool))[1].any()


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_of_large_logits_are_finite(kind):
    logits, targets, valid = random_inputs(3)
    gradient = jax.jit(jax.grad(lambda x: LOSSES[kind](x, targets, valid).sum))
    for size in (-1e4, -80, 80, 1e4):
        assert np.isfinite(gradient(np.full_like(logits, size))).all()
