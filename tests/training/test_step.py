"""A training step on two devices, and what it must not depend on."""

import functools
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from maskrcnn_jax.training.average import averaged_part, next_average
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh, replicate, shard_batch
from maskrcnn_jax.training.state import create_state
from maskrcnn_jax.training.step import image_keys, make_predict_step, make_train_step
from tests import tiny

CONFIG = tiny.tiny_config(axis_name=DATA_AXIS)
MODEL = CONFIG.build()
MESHES = {1: Mesh(np.asarray(jax.devices()[:1]), (DATA_AXIS,)), 2: data_mesh()}
TRACES = []
EMA_DECAY = 0.4


def learning_rate(step):
    """Runs once each time that a step is traced."""
    TRACES.append(step)
    return 0.01


OPTIMIZER = optax.sgd(learning_rate, momentum=0.9)


@functools.cache
def train_step(num_devices):
    return make_train_step(MODEL, OPTIMIZER, MESHES[num_devices], seed=0, ema_decay=EMA_DECAY)


def first_state(num_devices):
    variables = jax.tree.map(np.array, tiny.tiny_variables())  # a step gives its state's memory up
    state = create_state(variables, OPTIMIZER, CONFIG.frozen_modules(), with_average=True)
    return replicate(state, MESHES[num_devices])


def train(batches, *, num_devices=2):
    """The state after one step for each batch, and all metrics."""
    state, log = first_state(num_devices), []
    for batch in batches:
        batch = shard_batch(jax.tree.map(np.asarray, batch), MESHES[num_devices])
        state, metrics = train_step(num_devices)(state, batch)
        log.append(jax.device_get(metrics))
    return jax.device_get(state), log


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
    before, after = jax.device_get(first_state(1)), trained[0]
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
    states = [jax.device_get(first_state(2))]
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


def test_one_device_and_two_give_the_same():
    """Random choices included, and the statistics of a BatchNorm."""
    batches = [tiny.random_batch(seed, num_objects=(1, 4)) for seed in range(3)]
    (one, log_one), (two, log_two) = (train(batches, num_devices=n) for n in (1, 2))

    def compare(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * (1 + np.abs(a).max(initial=0)))

    jax.tree.map(compare, log_one, log_two)
    jax.tree.map(compare, one, two)


def test_each_image_has_its_own_key_by_its_place_in_the_global_batch():
    def keys(num_devices, *, seed=0, step=0):
        local = jax.shard_map(
            lambda step: jax.random.key_data(image_keys(seed, step, 4 // num_devices)),
            mesh=MESHES[num_devices],
            in_specs=jax.sharding.PartitionSpec(),
            out_specs=jax.sharding.PartitionSpec(DATA_AXIS),
        )
        return [tuple(key) for key in np.asarray(jax.jit(local)(jnp.asarray(step))).tolist()]

    assert keys(1) == keys(2)
    assert len({*keys(2), *keys(2, step=1), *keys(2, seed=1)}) == 12


def test_devices_only_exchange_sums():
    batch = shard_batch(jax.tree.map(np.asarray, tiny.random_batch(0)), MESHES[2])
    text = train_step(2).lower(first_state(2), batch).compile().as_text()
    collectives = "all-gather|all-reduce|all-to-all|collective-[a-z]+|reduce-scatter"
    assert set(re.findall(rf"\b({collectives})(?:-start)?\(", text)) == {"all-reduce"}


def test_one_program_serves_any_number_of_objects(trained):
    before = len(TRACES)
    batches = [tiny.random_batch(1, num_objects=n) for n in ((0, 0), (1, 0), (5, 5))]
    _, log = train(batches)
    assert np.isfinite([metrics["loss"] for metrics in log]).all()
    assert len(TRACES) == before > 0


def test_every_device_predicts_its_own_images():
    """One image for each device, against two in one program: equal up to rounding."""
    predict, batch = make_predict_step(MODEL, MESHES[2]), tiny.random_batch(2)
    variables = replicate(tiny.tiny_variables(), MESHES[2])
    found = predict(variables, shard_batch(jax.tree.map(np.asarray, batch), MESHES[2]))
    expected = tiny.predict(batch)
    assert found.boxes.sharding.num_devices == 2
    assert found.valid.any()
    np.testing.assert_array_equal(found.valid, expected.valid)
    np.testing.assert_array_equal(found.labels, expected.labels)
    for name in ("scores", "boxes", "masks"):
        close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
        close(getattr(found, name), getattr(expected, name))
