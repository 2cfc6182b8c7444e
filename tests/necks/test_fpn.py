import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.norms import FrozenBatchNormConfig
from maskrcnn_jax.training.state import count_parameters
from tests import tiny

CHANNELS = {2: 4, 3: 6, 4: 8, 5: 10}
KEY, NECK = jax.random.key(0), FPNConfig(channels=5).build()


def random_features(seed):
    rng = np.random.default_rng(seed)
    return {
        level: jnp.asarray(rng.normal(size=(2, 64 >> level, 96 >> level, c)), jnp.float32)
        for level, c in CHANNELS.items()
    }


def slow_conv(x, layer):
    """Sums over the pixels under the kernel, with zeros around the map."""
    kernel, bias = np.asarray(layer["kernel"]), np.asarray(layer.get("bias", 0))
    size, (height, width) = kernel.shape[0], x.shape[1:3]
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    y = np.zeros((*x.shape[:3], kernel.shape[-1])) + bias
    for i in range(size):
        for j in range(size):
            y += padded[:, i : i + height, j : j + width] @ kernel[i, j]
    return y


@pytest.mark.parametrize("norm", [None, FrozenBatchNormConfig(epsilon=0.0)])
def test_a_level_is_its_own_features_and_all_coarser_ones(norm):
    neck, features = FPNConfig(channels=5, norm=norm).build(), random_features(0)
    variables = tiny.variables_like(neck.init, KEY, features)
    rng = np.random.default_rng(0)
    norms = jax.tree.map(lambda x: rng.uniform(0.5, 2, x.shape), variables.get("frozen", {}))
    variables |= {"frozen": jax.tree.map(np.float32, norms)} if norms else {}

    def layer(x, name):
        x = slow_conv(x, variables["params"][name])
        if norm is None:
            return x
        n = norms[f"{name}_norm"]
        return (x - n["mean"]) / np.sqrt(n["var"]) * n["scale"] + n["bias"]

    found = jax.jit(neck.apply)(variables, features)
    assert list(found) == [2, 3, 4, 5, 6]
    merged = None
    for level in (5, 4, 3, 2):
        lateral = layer(features[level], f"lateral{level}")
        if merged is not None:
            for row, column in np.ndindex(*lateral.shape[1:3]):
                lateral[:, row, column] += merged[:, row // 2, column // 2]
        merged = lateral
        expected = layer(merged, f"output{level}")
        np.testing.assert_allclose(found[level], expected, rtol=1e-4, atol=1e-4)


def test_the_top_is_every_second_pixel_of_the_level_below():
    features = {5: jnp.asarray(np.random.default_rng(1).normal(size=(1, 5, 7, 10)), jnp.float32)}
    variables = tiny.variables_like(NECK.init, KEY, features)
    found = jax.jit(NECK.apply)(variables, features)
    assert found[6].shape == (1, 3, 4, 5)
    np.testing.assert_array_equal(found[6], found[5][:, ::2, ::2])


def test_all_levels_have_the_same_channels():
    features = {level: jnp.zeros((1, 64 >> level, 96 >> level, 64 << level)) for level in CHANNELS}
    neck = FPNConfig().build()
    found, variables = jax.eval_shape(neck.init_with_output, KEY, features)
    shapes = {level: x.shape for level, x in found.items()}
    expected = {level: (1, 64 >> level, 96 >> level, 256) for level in CHANNELS}
    assert shapes == expected | {6: (1, 1, 2, 256)}
    assert count_parameters(variables) == 3_344_384  # with ResNet-50's 256 to 2048 channels
