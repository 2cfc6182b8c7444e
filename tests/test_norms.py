import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.norms import BatchNormConfig, FrozenBatchNormConfig, GroupNormConfig
from maskrcnn_jax.training.sharding import data_mesh

SHAPE = (6, 3, 4, 8)
MOMENTUM, EPSILON = 0.8, 1e-3
PEER = nn.BatchNorm(use_running_average=False, momentum=MOMENTUM, epsilon=EPSILON)
VALID = np.array([True, True, False, True, False, False])


def random_input(seed=0):
    return jax.random.normal(jax.random.key(seed), SHAPE) * 3 + 2


def batch_norm(axis_name=None):
    return BatchNormConfig(momentum=MOMENTUM, epsilon=EPSILON, axis_name=axis_name).build("norm")


def random_variables():
    """Of a BatchNorm in training: no value is what it was at initialisation."""
    scale, bias, mean, var = jax.random.uniform(jax.random.key(9), (4, SHAPE[-1]), minval=0.5)
    return {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": var}}


def train(layer, variables, *args):
    """Output and new running averages."""
    y, updates = layer.apply(variables, *map(jnp.asarray, args), mutable=["batch_stats"])
    return y, updates["batch_stats"]


# ---- frozen BatchNorm ----------------------------------------------------------------------------


def test_frozen_norm_is_the_formula_and_has_no_parameters():
    layer = FrozenBatchNormConfig(epsilon=EPSILON).build("norm")
    assert jax.tree.map(jnp.shape, layer.init(jax.random.key(0), random_input())) == {
        "frozen": dict.fromkeys(("scale", "bias", "mean", "var"), SHAPE[-1:])
    }
    given = random_variables()
    frozen = {**given["params"], **given["batch_stats"]}
    x, (scale, bias, mean, var) = random_input(), frozen.values()
    expected = (x - mean) / np.sqrt(var + EPSILON) * scale + bias
    np.testing.assert_allclose(layer.apply({"frozen": frozen}, x), expected, rtol=1e-4, atol=1e-5)


# ---- BatchNorm -----------------------------------------------------------------------------------


def test_batch_norm_equals_that_of_flax_where_all_is_valid():
    """But for the running variance, which is the unbiased one, as in PyTorch."""
    x, variables = random_input(), random_variables()
    y, averages = train(batch_norm(), variables, x, np.ones(len(x), bool))
    expected, peer_averages = train(PEER, variables, x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(averages["mean"], peer_averages["mean"], rtol=1e-5)
    unbiased = np.var(x, axis=(0, 1, 2), ddof=1)
    expected = MOMENTUM * variables["batch_stats"]["var"] + (1 - MOMENTUM) * unbiased
    np.testing.assert_allclose(averages["var"], expected, rtol=1e-5)
    without_valid, _ = train(batch_norm(), variables, x)
    np.testing.assert_array_equal(without_valid, y)


def test_the_gradient_of_batch_norm_equals_that_of_flax():
    x, variables = random_input(), random_variables()
    g = random_input(1)

    def gradients(layer, *args):
        def loss(params, x):
            return jnp.vdot(train(layer, {**variables, "params": params}, x, *args)[0], g)

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(variables["params"], x)

    ours, theirs = gradients(batch_norm(), np.ones(len(x), bool)), gradients(PEER)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), ours, theirs)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_garbage_in_invalid_entries_changes_nothing(garbage):
    x, variables = random_input(), random_variables()
    y, averages = train(batch_norm(), variables, x, VALID)
    dirty = jnp.where(VALID[:, None, None, None], x, garbage)
    dirty_y, dirty_averages = train(batch_norm(), variables, dirty, VALID)
    np.testing.assert_array_equal(dirty_y[VALID], y[VALID])
    jax.tree.map(np.testing.assert_array_equal, dirty_averages, averages)
    alone, alone_averages = train(batch_norm(), variables, x[VALID])
    np.testing.assert_allclose(alone, y[VALID], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(alone_averages["var"], averages["var"], rtol=1e-5)


def test_without_valid_entries_the_averages_stay_and_the_output_is_finite():
    x, variables = random_input(), random_variables()
    y, averages = train(batch_norm(), variables, x, np.zeros(len(x), bool))
    assert jnp.isfinite(y).all()
    jax.tree.map(np.testing.assert_array_equal, averages, variables["batch_stats"])


def test_the_averages_are_used_where_they_are_not_mutable():
    x, variables = random_input(), random_variables()
    y = batch_norm("data").apply(variables, x, jnp.asarray(VALID))  # asks no other device
    expected = PEER.clone(use_running_average=True).apply(variables, x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_initialisation_leaves_the_averages_at_0_and_1():
    variables = batch_norm("data").init(jax.random.key(0), random_input())
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(SHAPE[-1]))
    np.testing.assert_array_equal(variables["batch_stats"]["var"], np.ones(SHAPE[-1]))


def test_devices_share_their_statistics():
    """Two devices with two valid entries and one give what one program gives."""
    x, variables = random_input(), random_variables()
    expected, expected_averages = train(batch_norm(), variables, x, VALID)
    on_two_devices = jax.shard_map(
        lambda x, valid: train(batch_norm("data"), variables, x, valid),
        mesh=data_mesh(),
        in_specs=P("data"),
        out_specs=(P("data"), P()),
    )
    assert data_mesh().size == 2
    y, averages = jax.jit(on_two_devices)(x, VALID)
    np.testing.assert_allclose(y[VALID], expected[VALID], rtol=1e-4, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), averages, expected_averages
    )


@pytest.mark.parametrize(
    "config",
    [BatchNormConfig(axis_name=None), FrozenBatchNormConfig(), GroupNormConfig(groups=2)],
)
def test_low_precision_inputs_are_normalised_in_float32(config):
    """Far from zero too, where mean and value have to cancel; the output is rounded once."""
    x = (random_input() + 50).astype(jnp.bfloat16)
    variables = config.build("norm").init(jax.random.key(0), x)
    variables = jax.tree.map(lambda x: x + 0.3, variables)  # no longer 0 and 1
    y, updates = config.build("norm").apply(variables, x, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((variables, updates)))
    expected, _ = config.build("norm").apply(
        variables, x.astype(jnp.float32), mutable=["batch_stats"]
    )
    np.testing.assert_array_equal(y, expected.astype(jnp.bfloat16))


# ---- GroupNorm -----------------------------------------------------------------------------------


def test_group_norm_normalises_each_entry_over_pixels_and_channels_of_a_group():
    x, layer = random_input(), GroupNormConfig(groups=2).build("norm")
    scale, bias = random_variables()["params"].values()
    y = layer.apply({"params": {"scale": scale, "bias": bias}}, x, jnp.asarray(VALID))
    groups = np.asarray(x, np.float64).reshape(6, 12, 2, 4)
    mean, var = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    expected = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(SHAPE) * scale + bias
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
