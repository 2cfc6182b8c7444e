import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops.distance import signed_distance

SIZE = (7, 9)
distances = jax.jit(jax.vmap(signed_distance))  # one program for all masks of a size


def slow_distance(mask):
    """From each centre to the nearest unit square of the other kind, all squares tried."""
    found = np.full(mask.shape, math.inf)
    for place in np.ndindex(mask.shape):
        for other in np.argwhere(mask != mask[place]):
            gap = np.maximum(np.abs(other - place) - 0.5, 0)
            found[place] = min(found[place], math.hypot(*gap))
    return np.where(mask, found, -found)


def random_masks(seed):
    """Noise from rare to frequent pixels, so that there are far and near ones."""
    rng = np.random.default_rng(seed)
    return rng.random((8, *SIZE)) < np.linspace(0.03, 0.97, 8)[:, None, None]


@pytest.mark.usefixtures("x64")
def test_distances_equal_the_slow_loop():
    masks = random_masks(0)
    masks[0, 2, 3], masks[-1, 5, 6] = True, False  # neither is empty or full
    expected = np.stack([slow_distance(mask) for mask in masks])
    assert np.abs(expected).max() > 5
    np.testing.assert_allclose(distances(masks), expected, rtol=1e-14)


def test_beside_a_straight_outline_distances_count_half_pixels():
    mask = np.zeros(SIZE, bool)
    mask[:, 4:] = True
    found = signed_distance(jnp.asarray(mask))
    np.testing.assert_array_equal(found, np.broadcast_to(np.arange(9) - 3.5, SIZE))


def test_the_complement_has_the_opposite_distances():
    masks = random_masks(1)
    np.testing.assert_array_equal(distances(~masks), -distances(masks))


def test_distances_turn_with_the_mask():
    masks = random_masks(2)
    turned = jax.jit(jax.vmap(signed_distance))(masks.swapaxes(1, 2)[:, ::-1])
    np.testing.assert_array_equal(turned, distances(masks).swapaxes(1, 2)[:, ::-1])


def test_without_an_outline_distances_are_infinite():
    masks = np.zeros((8, *SIZE), bool)
    masks[1] = True
    found = distances(masks)
    assert (found[0] == -np.inf).all()
    assert (found[1] == np.inf).all()
