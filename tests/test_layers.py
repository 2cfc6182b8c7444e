import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.layers import Conv, Dense, full_precision

KEY, INIT = jax.random.key(0), nn.initializers.normal(1.0)
PADS = ((1, 1), (1, 1))
PAIRS = {
    "conv": (Conv(8, 3, kernel_init=INIT), nn.Conv(8, (3, 3), padding=PADS, kernel_init=INIT)),
    "stride and groups": (
        Conv(8, 3, stride=2, groups=2, use_bias=False, kernel_init=INIT),
        nn.Conv(
            8, (3, 3), 2, PADS, feature_group_count=2, use_bias=False, kernel_init=INIT
        ),
    ),
    "1x1": (Conv(8, 1, kernel_init=INIT), nn.Conv(8, (1, 1), kernel_init=INIT)),
    "dense": (Dense(8, kernel_init=INIT), nn.Dense(8, kernel_init=INIT)),
}  # fmt: skip


@pytest.fixture(params=PAIRS.values(), ids=PAIRS.keys())
def layers(request):
    """Ours and that of Flax."""
    return request.param


def test_parameters_and_values_are_those_of_flax(layers):
    x = jax.random.normal(KEY, (2, 5, 6, 16))
    (y, variables), (expected, peer_variables) = (x_.init_with_output(KEY, x) for x_ in layers)
    jax.tree.map(np.testing.assert_array_equal, variables, peer_variables)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_the_output_has_the_type_of_the_input_and_parameters_are_float32(layers, dtype):
    layer, x = layers[0], jax.random.normal(KEY, (2, 5, 6, 16)).astype(dtype)
    y, variables = layer.init_with_output(KEY, x)
    assert y.dtype == dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    with_float64 = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables)
    exact = layer.apply(with_float64, x.astype(jnp.float64))
    error = {jnp.bfloat16: 2**-7, jnp.float32: 1e-6, jnp.float64: 1e-13}[dtype]
    np.testing.assert_allclose(
        y.astype(jnp.float64), exact, rtol=0, atol=error * np.abs(exact).max()
    )


@pytest.mark.usefixtures("x64")
def test_full_precision_changes_no_number():
    for dtype, wanted in [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")]:
        x = jax.random.normal(KEY, (10,)).astype(dtype)
        assert full_precision(x).dtype == wanted
        np.testing.assert_array_equal(full_precision(x), np.asarray(x, wanted))
