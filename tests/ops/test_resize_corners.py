import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops.resize_corners import resize_corners


def slow_place(i, old, new):
    """Where a new pixel lies among the old ones: the two around it, and how far from the first."""
    place = i * (old - 1) / (new - 1) if new > 1 else 0.0
    low = int(place)
    return low, min(low + 1, old - 1), place - low


@pytest.mark.parametrize("size", [(3, 4), (5, 9), (2, 3), (1, 1), (6, 1)])
def test_it_equals_the_slow_loop(size):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)
    expected = np.zeros((2, *size, 2))
    for i, j in np.ndindex(*size):
        top, bottom, down = slow_place(i, 3, size[0])
        left, right, along = slow_place(j, 4, size[1])
        above = (1 - along) * x[:, top, left] + along * x[:, top, right]
        below = (1 - along) * x[:, bottom, left] + along * x[:, bottom, right]
        expected[:, i, j] = (1 - down) * above + down * below
    found = jax.jit(resize_corners, static_argnums=1)(x, size)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_same_size_changes_nothing():
    x = np.random.default_rng(1).normal(size=(1, 5, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(resize_corners(jnp.asarray(x), (5, 3)), x)
