import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.ops.gradient import scale_gradient


def test_values_stay_and_the_gradient_is_multiplied():
    x = jnp.asarray([1.1, -0.3, np.inf, np.nan])
    np.testing.assert_array_equal(scale_gradient(x, 0.3), x)

    def total(x, factor):
        return (scale_gradient(x, factor) ** 2).sum()

    x = jnp.arange(6.0).reshape(2, 3)
    gradient = jax.jit(jax.grad(total), static_argnums=1)
    np.testing.assert_array_equal(gradient(x, 0.25), 0.25 * 2 * x)
    np.testing.assert_array_equal(gradient(x, 1.0), 2 * x)
    np.testing.assert_array_equal(gradient(x, 0.0), jnp.zeros_like(x))


def test_vmap_is_the_loop():
    x = jnp.arange(6.0).reshape(2, 3)
    gradient = jax.grad(lambda x: (scale_gradient(x, 0.5) ** 2).sum())
    np.testing.assert_array_equal(jax.vmap(gradient)(x), jnp.stack([gradient(one) for one in x]))
