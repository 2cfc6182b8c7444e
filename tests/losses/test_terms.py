import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from maskrcnn_jax import losses

NUM, NUM_CLASSES = 8, 5
BETA, Q = 0.4, 0.7

smooth_l1 = functools.partial(losses.smooth_l1, beta=BETA)
FORMULAS = {
    "softmax_cross_entropy": losses.softmax_cross_entropy,
    "binary_cross_entropy": losses.binary_cross_entropy,
    "generalised_cross_entropy": functools.partial(losses.generalised_cross_entropy, q=Q),
    "smooth_l1": smooth_l1,
    "l1": functools.partial(losses.smooth_l1, beta=0.0),
    "squared_error": losses.squared_error,
}
JITTED = {name: jax.jit(formula) for name, formula in FORMULAS.items()}
every_formula = pytest.mark.parametrize("name", FORMULAS)


def random_inputs(name, *, seed=0, dtype=np.float32):
    """Predictions, targets, valid."""
    rng = np.random.default_rng(seed)
    valid = rng.random(NUM) < 0.6
    if name == "softmax_cross_entropy":
        logits = rng.normal(size=(NUM, NUM_CLASSES), scale=3)
        return logits.astype(dtype), rng.integers(0, NUM_CLASSES, NUM), valid
    return rng.normal(size=NUM).astype(dtype), rng.random(NUM).astype(dtype), valid


def slow_value(name, prediction, target):
    if name == "softmax_cross_entropy":
        return -math.log(math.exp(prediction[target]) / sum(math.exp(x) for x in prediction))
    p = 1 / (1 + math.exp(-prediction))
    if name == "binary_cross_entropy":
        return -target * math.log(p) - (1 - target) * math.log(1 - p)
    if name == "generalised_cross_entropy":
        return target * (1 - p**Q) / Q + (1 - target) * (1 - (1 - p) ** Q) / Q
    error = abs(prediction - target)
    if name == "squared_error":
        return error**2
    if name == "smooth_l1" and error < BETA:
        return 0.5 * error**2 / BETA
    return error - 0.5 * BETA if name == "smooth_l1" else error


@pytest.mark.usefixtures("x64")
@every_formula
def test_sum_and_count_equal_the_slow_loop(name):
    predictions, targets, valid = random_inputs(name, dtype=np.float64)
    term = JITTED[name](predictions, targets, valid)
    values = [slow_value(name, predictions[i], targets[i]) for i in np.flatnonzero(valid)]
    np.testing.assert_allclose(term.sum, sum(values), rtol=1e-13)
    assert term.count == len(values)
    np.testing.assert_allclose(term.mean, np.mean(values), rtol=1e-13)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e38])
@every_formula
def test_garbage_in_invalid_entries_changes_nothing(name, garbage):
    predictions, targets, valid = random_inputs(name, seed=1)

    def sum_and_gradient(predictions, targets):
        return jax.value_and_grad(lambda p: JITTED[name](p, targets, valid).sum)(predictions)

    clean = sum_and_gradient(predictions, targets)
    predictions[~valid] = garbage
    targets[~valid] = -7 if name == "softmax_cross_entropy" else garbage
    dirty = sum_and_gradient(predictions, targets)
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not dirty[1][~valid].any()
    assert dirty[1][valid].any()


@every_formula
def test_without_valid_entries_all_is_zero_and_finite(name):
    predictions, targets, _ = random_inputs(name)
    valid = np.zeros(NUM, bool)
    term = JITTED[name](predictions, targets, valid)
    assert (term.sum, term.count, term.mean) == (0, 0, 0)
    gradient = jax.grad(lambda p: JITTED[name](p, targets, valid).mean)(predictions)
    np.testing.assert_array_equal(gradient, np.zeros_like(predictions))


@pytest.mark.usefixtures("x64")
@every_formula
def test_gradients(name):
    predictions, targets, valid = random_inputs(name, seed=2, dtype=np.float64)
    check_grads(lambda p: JITTED[name](p, targets, valid).sum, (predictions,), order=1)


@every_formula
def test_terms_of_parts_add_up_to_that_of_the_whole(name):
    """Which is why sums and counts travel: devices may have different numbers of entries."""
    arrays = random_inputs(name, seed=3)
    whole = JITTED[name](*arrays)
    parts = jax.vmap(FORMULAS[name])(*(x.reshape(2, NUM // 2, *x.shape[1:]) for x in arrays))
    assert parts.count[0] != parts.count[1]
    np.testing.assert_allclose(parts.sum.sum(), whole.sum, rtol=1e-6)
    assert parts.count.sum() == whole.count


@every_formula
def test_any_number_of_axes_and_jit_equals_the_eager_call(name):
    arrays = [jnp.asarray(x) for x in random_inputs(name, seed=4)]
    flat = JITTED[name](*arrays)
    square = FORMULAS[name](*(x.reshape(2, 4, *x.shape[1:]) for x in arrays))
    np.testing.assert_allclose(square, flat, rtol=1e-6)


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.0, 0.3, 1.0]))
def test_binary_cross_entropy_of_large_logits(logit, target):
    """-log s(x) = log(1 + e^-x), which is -x for large negative x."""
    one, valid = np.float32(logit), np.array(True)
    value, gradient = jax.value_and_grad(
        lambda x: JITTED["binary_cross_entropy"](x, np.float32(target), valid).sum
    )(one)
    expected = np.logaddexp(0, np.float64(logit)) - logit * np.float64(np.float32(target))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, np.exp(-np.logaddexp(0, -logit)) - target, atol=1e-6)


@given(st.floats(-1e4, 1e4, width=32), st.sampled_from([0.0, 0.3, 1.0]))
def test_generalised_cross_entropy_of_large_logits(logit, target):
    """p^q is e^(-q log(1 + e^-x)), and nothing is lost or made NaN on the way."""
    valid = np.array(True)
    value, gradient = jax.value_and_grad(
        lambda x: JITTED["generalised_cross_entropy"](x, np.float32(target), valid).sum
    )(np.float32(logit))
    target = np.float64(np.float32(target))
    true, false = (np.exp(-Q * np.logaddexp(0, -s * np.float64(logit))) for s in (1, -1))
    p = np.exp(-np.logaddexp(0, -np.float64(logit)))
    np.testing.assert_allclose(
        value, target * (1 - true) / Q + (1 - target) * (1 - false) / Q, rtol=1e-5, atol=1e-6
    )
    expected = (1 - target) * false * p - target * true * (1 - p)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_generalised_cross_entropy_meets_its_limits():
    """For q near 0 the cross entropy; for q = 1 the distance of the probability, 1 - p."""
    logits, targets, _ = random_inputs("generalised_cross_entropy", seed=6)
    targets, valid = (targets < 0.5).astype(np.float32), np.ones(NUM, bool)

    def value_and_gradient(formula, **options):
        formula = jax.jit(functools.partial(formula, **options))
        return jax.value_and_grad(lambda x: formula(x, targets, valid).sum)(logits)

    near_0 = value_and_gradient(losses.generalised_cross_entropy, q=1e-6)
    cross_entropy = value_and_gradient(losses.binary_cross_entropy)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4), near_0, cross_entropy)
    at_1, _ = value_and_gradient(losses.generalised_cross_entropy, q=1.0)
    distances = np.abs(1 / (1 + np.exp(-logits)) - targets)
    np.testing.assert_allclose(at_1, distances.sum(), rtol=1e-5)


def test_softmax_cross_entropy_of_large_logits():
    logits = np.array([[1e4, -1e4, 0]], np.float32)
    valid = np.ones(1, bool)
    sums = [JITTED["softmax_cross_entropy"](logits, np.array([i]), valid).sum for i in range(3)]
    np.testing.assert_allclose(sums, [0, 2e4, 1e4])


def test_smooth_l1_meets_its_limits():
    """Slope 1 and no jump at beta; the smaller beta, the nearer to L1."""
    predictions, targets, _ = random_inputs("l1", seed=5)
    valid = np.ones(NUM, bool)
    exact = JITTED["l1"](predictions, targets, valid).sum
    near = losses.smooth_l1(*map(jnp.asarray, (predictions, targets, valid)), beta=1e-6).sum
    np.testing.assert_allclose(near, exact, rtol=1e-5)

    def value(x):
        return smooth_l1(x, jnp.zeros(()), jnp.array(True)).sum

    for side in (-1e-4, 1e-4):
        at_beta, slope = jax.value_and_grad(value)(jnp.float32(BETA + side))
        np.testing.assert_allclose(at_beta, BETA / 2, atol=2e-4)
        np.testing.assert_allclose(slope, 1, atol=1e-3)
    assert jax.grad(value)(jnp.float32(0)) == 0
