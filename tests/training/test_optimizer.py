import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.serialization import from_json, to_json
from maskrcnn_jax.training.optimizer import CosineScheduleConfig, ScheduleConfig, SGDConfig

SCHEDULE = ScheduleConfig(
    epochs=12, decay_at=(8, 11), decay_factor=0.1, warmup_steps=40, warmup_start=0.001
)
STEPS_PER_EPOCH = 50
_RANDOM = np.random.default_rng(0)
PARAMS = {
    "conv": {"kernel": _RANDOM.normal(size=(3, 4)), "bias": _RANDOM.normal(size=4)},
    "norm": {"scale": _RANDOM.normal(size=4), "bias": _RANDOM.normal(size=4)},
}


def gradient(params):
    """Of sum(p^4) / 4 - sum(p), so that it changes along the way."""
    return jax.tree.map(lambda p: p**3 - 1, params)


def sgd_of_pytorch(params, rates, *, momentum, decays):
    """The loop of torch.optim.SGD (dampening 0, no Nesterov); ``decays`` has the params' shape."""
    velocity = None
    for rate in rates:
        d = jax.tree.map(lambda g, p, wd: g + wd * p, gradient(params), params, decays)
        velocity = (
            d if velocity is None else jax.tree.map(lambda v, d: momentum * v + d, velocity, d)
        )
        params = jax.tree.map(lambda p, v, rate=rate: p - rate * v, params, velocity)
    return params


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("decay_norms", [False, True])
@pytest.mark.parametrize("decay_biases", [False, True])
def test_steps_equal_the_loop_of_pytorch(decay_norms, decay_biases):
    config = SGDConfig(
        schedule=SCHEDULE,
        weight_decay=0.05,
        momentum=0.8,
        decay_norms=decay_norms,
        decay_biases=decay_biases,
    )
    rates = [0.1, 0.1, 0.05, 0.02, 0.01]
    optimizer = config.build(lambda count: jnp.asarray(rates)[count])
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = optimizer.init(params)
    for _ in rates:
        updates, state = optimizer.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)

    bias = 0.05 * decay_biases
    decays = {
        "conv": {"kernel": 0.05, "bias": bias},
        "norm": {"scale": 0.05 * decay_norms, "bias": bias},
    }
    expected = sgd_of_pytorch(PARAMS, rates, momentum=0.8, decays=decays)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), params, expected)


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        (0, 0.001),
        (20, (0.001 + 1) / 2),
        (39, 0.001 + 0.999 * 39 / 40),
        (40, 1),
        (399, 1),
        (400, 0.1),
        (549, 0.1),
        (550, 0.01),
        (10_000, 0.01),
    ],
)
def test_rate_at_the_turning_points(step, factor):
    rate = SCHEDULE.build(0.02, STEPS_PER_EPOCH)
    np.testing.assert_allclose(rate(step), 0.02 * factor, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(rate)(step), 0.02 * factor, rtol=1e-4)


def test_a_drop_during_warm_up_counts():
    schedule = ScheduleConfig(epochs=1, decay_at=(0.5,), warmup_steps=100, warmup_start=0.0)
    rate = schedule.build(1.0, 100)
    np.testing.assert_allclose([rate(49), rate(50)], [0.49, 0.05], rtol=1e-5)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert ScheduleConfig(epochs=1, warmup_steps=0).build(0.02, 10)(0) == 0.02


def test_epochs_may_be_fractions():
    schedule = ScheduleConfig(epochs=1.5, decay_at=(0.25,), warmup_steps=0)
    assert schedule.num_steps(10) == 15
    rate = schedule.build(1.0, 8)
    np.testing.assert_allclose([rate(1), rate(2)], [1, 0.1], rtol=1e-6)


def test_the_rate_grows_with_the_batch_unless_told_otherwise():
    scaled = SGDConfig(schedule=SCHEDULE, learning_rate=0.02, reference_batch_size=16)
    assert [scaled.peak(size) for size in (8, 16, 64)] == [0.01, 0.02, 0.08]
    plain = SGDConfig(schedule=SCHEDULE, learning_rate=0.02, reference_batch_size=None)
    assert plain.peak(64) == 0.02


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_long_gradients_are_shortened_all_together(limit):
    """Before weight decay is added, as in torch.nn.utils.clip_grad_norm_ and optimizer.step."""
    config = SGDConfig(
        schedule=SCHEDULE, max_gradient_norm=limit, weight_decay=0.05, decay_biases=True
    )
    optimizer = config.build(lambda count: 0.1)
    params = jax.tree.map(jnp.asarray, PARAMS)
    updates, _ = optimizer.update(gradient(params), optimizer.init(params), params)
    flat = np.concatenate([np.ravel(g) for g in jax.tree.leaves(gradient(PARAMS))])
    factor = min(limit / np.sqrt((flat**2).sum()), 1)
    decays = {"conv": {"kernel": 0.05, "bias": 0.05}, "norm": {"scale": 0, "bias": 0.05}}
    expected = jax.tree.map(
        lambda g, p, wd: -0.1 * (factor * g + wd * p), gradient(PARAMS), PARAMS, decays
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), updates, expected)


# ---- cosine schedule -----------------------------------------------------------------------------

COSINE = CosineScheduleConfig(epochs=2, final_factor=0.1, warmup_steps=10, warmup_start=0.5)


def test_the_cosine_is_the_formula():
    rate = COSINE.build(0.02, STEPS_PER_EPOCH)
    assert COSINE.num_steps(STEPS_PER_EPOCH) == 100
    for step in range(120):
        cosine = (1 + math.cos(math.pi * min(step / 100, 1))) / 2
        warmup = min(0.5 + 0.5 * step / 10, 1)
        expected = 0.02 * (0.1 + 0.9 * cosine) * warmup
        np.testing.assert_allclose(rate(step), expected, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(rate)(7), rate(7), rtol=1e-5)


def test_the_cosine_ends_at_0_and_begins_with_the_full_rate_without_warm_up():
    rate = CosineScheduleConfig(epochs=1, warmup_steps=0).build(0.02, 10)
    np.testing.assert_allclose([rate(0), rate(5), rate(10)], [0.02, 0.01, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "change", "name"),
    [
        (ScheduleConfig, {"epochs": 0.0}, "epochs"),
        (CosineScheduleConfig, {"epochs": float("inf")}, "epochs"),
        (ScheduleConfig, {"warmup_steps": -1}, "warmup_steps"),
        (CosineScheduleConfig, {"warmup_steps": -1}, "warmup_steps"),
        (CosineScheduleConfig, {"final_factor": -0.1}, "final_factor"),
        (CosineScheduleConfig, {"final_factor": 1.1}, "final_factor"),
        (SGDConfig, {"ema_decay": 1.0, "schedule": SCHEDULE}, "ema_decay"),
        (SGDConfig, {"ema_decay": -0.1, "schedule": SCHEDULE}, "ema_decay"),
    ],
)
def test_a_wrong_value_is_named(kind, change, name):
    with pytest.raises(InputError, match=f"^{name} must be .*not "):
        kind(**({} if kind is SGDConfig else {"epochs": 1.0}) | change)


@pytest.mark.parametrize("schedule", [SCHEDULE, COSINE])
def test_either_schedule_comes_back_from_json(schedule):
    config = SGDConfig(schedule=schedule, ema_decay=0.99)
    assert from_json(SGDConfig, to_json(config), where="f") == config
