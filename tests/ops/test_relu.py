import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops.relu import relu

NUMBERS = [-np.inf, -2.5, -1e-30, -0.0, 0.0, 1e-30, 0.5, 3.0, np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_and_gradients_are_those_of_jax(dtype):
    x = jnp.array(NUMBERS, dtype)

    def with_gradient(function):
        y, backward = jax.vjp(function, x)
        return y, *backward(jnp.arange(1, len(x) + 1, dtype=x.dtype))

    for a, b in zip(with_gradient(jax.jit(relu)), with_gradient(jax.nn.relu), strict=True):
        assert a.dtype == dtype
        np.testing.assert_array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))


def test_the_second_derivative_is_zero():
    assert jax.grad(jax.grad(lambda x: 3 * relu(x)))(jnp.array(2.0)) == 0


def test_of_each_layer_the_output_alone_is_kept():
    """Of residual blocks with two layers each, as XLA on the CPU compiles them."""
    x = jnp.ones((1024, 64))

    def total(kernels):
        y = x
        for first, second in kernels:
            y = relu(y + relu(2 * (y @ first) + 1) @ second)
        return y.sum()

    def arrays_at_once(num_blocks):
        program = jax.jit(jax.grad(total)).lower(jnp.ones((num_blocks, 2, 64, 64))).compile()
        return program.memory_analysis().temp_size_in_bytes / x.nbytes

    few, many = arrays_at_once(4), arrays_at_once(8)
    assert (many - few) / 8 < 1.5  # with jax.nn.relu: 2
