"""Training without ImageNet weights: BatchNorms that are trained everywhere, and nothing frozen.

In float64: BatchNorm after BatchNorm magnifies rounding. GroupNorm is what the preset ``shapes``
has, which the tests of the scripts train.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.norms import BatchNormConfig
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh, replicate, shard_batch
from maskrcnn_jax.training.state import create_state, initial_variables
from maskrcnn_jax.training.step import make_train_step
from tests import tiny

MESHES = {1: Mesh(np.asarray(jax.devices()[:1]), (DATA_AXIS,)), 2: data_mesh()}
OPTIMIZER = optax.chain(optax.clip_by_global_norm(3.0), optax.sgd(0.02, momentum=0.9))


def scratch_config(norm):
    return dataclasses.replace(
        tiny.without_masks(tiny.tiny_config()),
        backbone=ResNetConfig(depth=18, width=8, norm=norm, frozen_stages=0),
        neck=FPNConfig(channels=16, norm=norm),
    )


@functools.cache
def train_step(config, num_devices):
    return make_train_step(config.build(), OPTIMIZER, MESHES[num_devices], seed=0)


def first_variables(config):
    variables = tiny.variables_like(functools.partial(initial_variables, config.build(), seed=0))
    return jax.tree.map(lambda x: x.astype(jnp.float64), variables)


def train(config, batches, *, num_devices):
    """The state after one step for each batch, and all losses."""
    mesh, frozen_modules, losses = MESHES[num_devices], config.frozen_modules(), []
    assert frozen_modules == ()
    state = replicate(create_state(first_variables(config), OPTIMIZER, frozen_modules), mesh)
    for batch in batches:
        batch = shard_batch(jax.tree.map(np.asarray, batch), mesh)
        state, metrics = train_step(config, num_devices)(state, batch)
        losses.append(float(metrics["loss"]))
    return jax.device_get(state), losses


@pytest.mark.usefixtures("x64")
def test_batch_norm_has_the_statistics_of_the_global_batch():
    """One image on each of two devices, or both on one: the same statistics at every depth."""
    config = scratch_config(BatchNormConfig())
    batches = [tiny.random_batch(seed, num_objects=(1, 4)) for seed in range(2)]
    (one, losses_one), (two, losses_two) = (
        train(config, batches, num_devices=count) for count in (1, 2)
    )
    np.testing.assert_allclose(losses_one, losses_two, rtol=1e-12)
    statistics = [state.constants["batch_stats"] for state in (one, two)]
    assert set(statistics[0]) == {"backbone", "neck"}
    for a, b in zip(*map(jax.tree.leaves, statistics), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * (1 + np.abs(a).max()))
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(two.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9 * (1 + np.abs(a).max()))


@pytest.mark.usefixtures("x64")
def test_the_loss_falls_and_every_parameter_moves():
    config = scratch_config(BatchNormConfig())
    state, losses = train(config, [tiny.random_batch(0)] * 12, num_devices=2)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]
    first = first_variables(config)["params"]
    moved = jax.tree.map(lambda a, b: bool((np.asarray(a) != b).any()), first, state.params)
    assert all(jax.tree.leaves(moved)), moved
