import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops.resize import repeat_pixels, resize, resize_corners, with_coordinates


def slow(x, size):
    """Bilinear at the centres of the new pixels, positions limited to the centres of the old."""
    height, width = x.shape[:2]
    out = np.zeros((*size, x.shape[2]))
    for i in range(size[0]):
        for j in range(size[1]):
            y = np.clip((i + 0.5) * height / size[0] - 0.5, 0, height - 1)
            z = np.clip((j + 0.5) * width / size[1] - 0.5, 0, width - 1)
            top, left = int(y), int(z)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            up = (1 - (z - left)) * x[top, left] + (z - left) * x[top, right]
            down = (1 - (z - left)) * x[below, left] + (z - left) * x[below, right]
            out[i, j] = (1 - (y - top)) * up + (y - top) * down
    return out


def test_repeated_pixels_are_those_of_numpy_and_their_gradients_are_added():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    weight = rng.normal(size=(2, 6, 8, 5)).astype(np.float32)
    found, backward = jax.vjp(jax.jit(repeat_pixels), x)
    np.testing.assert_array_equal(found, x.repeat(2, axis=1).repeat(2, axis=2))
    (gradient,) = backward(jnp.asarray(weight))
    expected = weight.reshape(2, 3, 2, 4, 2, 5).sum((2, 4))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(10, 14), (3, 4), (5, 20), (2, 7)])
def test_pixels_are_those_of_the_slow_loop(size):
    x = np.random.default_rng(0).normal(size=(5, 7, 2))
    found = resize(jnp.asarray(x, jnp.float32)[None], size)[0]
    np.testing.assert_allclose(found, slow(x, size), atol=1e-5)


def test_coordinates_go_from_corner_to_corner():
    x = with_coordinates(jnp.zeros((2, 3, 5, 4)))
    assert x.shape == (2, 3, 5, 6)
    np.testing.assert_allclose(x[1, 1, :, 4], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(x[1, :, 2, 5], [-1, 0, 1])
    assert not x[..., :4].any()


def slow_place(i, old, new):
    """Where a new pixel lies among the old ones: the two around it, and how far from the first."""
    place = i * (old - 1) / (new - 1) if new > 1 else 0.0
    low = int(place)
    return low, min(low + 1, old - 1), place - low


@pytest.mark.parametrize("size", [(3, 4), (5, 9), (2, 3), (1, 1), (6, 1)])
def test_between_corners_it_equals_the_slow_loop(size):
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


def test_between_corners_the_same_size_changes_nothing():
    x = np.random.default_rng(1).normal(size=(1, 5, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(resize_corners(jnp.asarray(x), (5, 3)), x)
