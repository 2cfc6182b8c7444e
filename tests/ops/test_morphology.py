import jax
import numpy as np

from maskrcnn_jax.ops.morphology import erode, inner_boundary

_erode, _inner_boundary = jax.jit(jax.vmap(erode)), jax.jit(jax.vmap(inner_boundary))


def slow_erosion(mask):
    eroded = np.zeros_like(mask)
    height, width = mask.shape
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            eroded[y, x] = all(mask[y + i, x + j] for i in (-1, 0, 1) for j in (-1, 0, 1))
    return eroded


def random_masks():
    """From sparse to almost full, and full."""
    rng = np.random.default_rng(0)
    return rng.random((7, 6, 8)) < np.array([0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 2])[:, None, None]


def test_erosion_equals_the_slow_loop():
    masks = random_masks()
    expected = np.stack([slow_erosion(mask) for mask in masks])
    assert 0 < expected[-2].sum() < expected[-1].sum()
    np.testing.assert_array_equal(_erode(masks), expected)


def test_the_inner_boundary_is_where_the_laplacian_is_positive():
    """8 times the pixel less its neighbours, with zeros around: BMask R-CNN's definition."""
    masks = random_masks()
    padded = np.pad(masks.astype(int), ((0, 0), (1, 1), (1, 1)))
    around = sum(padded[:, i : i + 6, j : j + 8] for i in range(3) for j in range(3))
    np.testing.assert_array_equal(_inner_boundary(masks), 9 * masks - around > 0)


def test_the_inner_boundary_of_a_rectangle_is_its_rim():
    mask = np.zeros((6, 8), bool)
    mask[1:5, 2:7] = True
    expected = mask.copy()
    expected[2:4, 3:6] = False
    np.testing.assert_array_equal(_inner_boundary(mask[None])[0], expected)
