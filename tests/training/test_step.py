"""A training step on two devices; test_invariance compares numbers of devices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from maskrcnn_jax.training.average import averaged_part, next_average
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh, place_state, shard_batch
from maskrcnn_jax.training.state import create_state
from maskrcnn_jax.training.step import image_keys, make_train_step
from tests import tiny
from tests.training.invariance import collectives

CONFIG = tiny.tiny_config(axis_name=DATA_AXIS)
MODEL = CONFIG.build()
MESH = data_mesh()
TRACES = []
EMA_DECAY = 0.4


def learning_rate(step):
    """Runs once each time that a step is traced."""
    TRACES.append(step)
    return 0.01


OPTIMIZER = optax.sgd(learning_rate, momentum=0.9)


@functools.cache
def train_step():
    return make_train_step(MODEL, OPTIMIZER, MESH, seed=0, ema_decay=EMA_DECAY)


def first_state():
    variables = tiny.tiny_variables()
    return create_state(variables, OPTIMIZER, CONFIG.frozen_modules(), with_average=True)


def train(batches, *, state=None):
    """The state after one step for each batch, and all metrics."""
    state = jax.tree.map(np.array, state or first_state())  # a step gives its state's memory up
    state, log = place_state(state, MESH), []
    for batch in batches:
        state, metrics = train_step()(state, shard_batch(jax.tree.map(np.asarray, batch), MESH))
        log.append(jax.device_get(metrics))
    return jax.device_get(state), log


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def trained():
    return train([tiny.random_batch(0)] * 10)


def test_a_few_steps_lower_the_loss(trained):
    _, log = trained
    losses = [metrics["loss"] for metrics in log]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_metrics_are_the_losses_their_sum_and_the_gradients_norm(trained):
    for metrics in trained[1]:
        parts = {"rpn_objectness", "rpn_box", "roi_class", "roi_box", "roi_mask"}
        assert set(metrics) == parts | {"loss", "gradient_norm"}
        np.testing.assert_allclose(metrics["loss"], sum(metrics[p] for p in parts), rtol=1e-6)
        assert metrics["gradient_norm"] > 0


def test_everything_is_trained_except_what_is_frozen(trained):
    before, after = first_state(), trained[0]
    assert after.step == 10
    for name in ("params", "frozen"):
        jax.tree.map(np.testing.assert_array_equal, before.constants[name], after.constants[name])
    for trees in (
        (before.params, after.params),
        (before.constants["batch_stats"], after.constants["batch_stats"]),
    ):
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), *trees)
        assert all(jax.tree.leaves(moved)), moved


def test_the_average_follows_weights_and_statistics():
    """From the first weights on, by the formula; all else is as it was."""
    states = [jax.device_get(first_state())]
    for count in (1, 2, 3):
        states.append(train([tiny.random_batch(0)] * count)[0])
    expected = averaged_part(states[0].params, states[0].constants)
    for state in states:
        if state.step > 0:
            values = averaged_part(state.params, state.constants)
            expected = next_average(expected, values, decay=EMA_DECAY, step=state.step - 1)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            state.average,
            expected,
        )
    moved = jax.tree.map(
        lambda a, b: bool((a != b).any()), states[-1].average["params"], states[-1].params
    )
    assert all(jax.tree.leaves(moved))


def test_a_step_that_is_not_finite_changes_nothing_but_the_flag(trained):
    healthy, _ = trained
    params = jax.tree.map(np.copy, healthy.params)
    params["roi"]["box_head"]["deltas"]["bias"][0] = np.inf
    before = dataclasses.replace(healthy, params=params)
    after, [metrics] = train([tiny.random_batch(0)], state=before)
    assert not np.isfinite(metrics["loss"])
    assert not after.finite
    assert_same(dataclasses.replace(after, finite=before.finite), before)


def test_a_step_to_weights_that_are_not_finite_is_not_taken(trained):
    """Though its losses and gradients are."""
    before = jax.tree.map(np.copy, trained[0])
    momentum = next(x for x in jax.tree.leaves(before.opt_state) if x.ndim == 4)
    momentum.flat[0] = np.inf
    after, [metrics] = train([tiny.random_batch(0)], state=before)
    assert np.isfinite(list(metrics.values())).all()
    assert not after.finite
    assert_same(dataclasses.replace(after, finite=before.finite), before)


def test_after_a_failed_step_every_step_is_without_effect(trained):
    before = dataclasses.replace(trained[0], finite=np.asarray(False))
    after, log = train([tiny.random_batch(0)] * 2, state=before)
    assert all(np.isnan(value) for metrics in log for value in metrics.values())
    assert_same(after, before)


def test_each_image_has_its_own_key_by_its_place_in_the_global_batch():
    def keys(num_devices, *, seed=0, step=0):
        local = jax.shard_map(
            lambda step: jax.random.key_data(image_keys(seed, step, 4 // num_devices)),
            mesh=Mesh(np.asarray(jax.devices()[:num_devices]), (DATA_AXIS,)),
            in_specs=jax.sharding.PartitionSpec(),
            out_specs=jax.sharding.PartitionSpec(DATA_AXIS),
        )
        return [tuple(key) for key in np.asarray(jax.jit(local)(jnp.asarray(step))).tolist()]

    assert keys(1) == keys(2)
    assert len({*keys(2), *keys(2, step=1), *keys(2, seed=1)}) == 12


def test_devices_only_exchange_sums():
    batch = shard_batch(jax.tree.map(np.asarray, tiny.random_batch(0)), MESH)
    program = train_step().lower(place_state(first_state(), MESH), batch).compile()
    assert collectives(program) == {"all-reduce"}


def test_one_program_serves_any_number_of_objects(trained):
    before = len(TRACES)
    batches = [tiny.random_batch(1, num_objects=n) for n in ((0, 0), (1, 0), (5, 5))]
    _, log = train(batches)
    assert np.isfinite([metrics["loss"] for metrics in log]).all()
    assert len(TRACES) == before > 0
