"""RoIPool: cases of torchvision's test_ops.py, and its outputs for boxes at random places."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import roi_pool as ops
from maskrcnn_jax.ops.sampling_grid import Maps
from tests.peers.cases import outputs, roi_pool_case

LONGEST_SIDE = 120  # of all boxes here
ROIS = [[0, 0, 0, 9, 9], [0, 0, 5, 4, 9], [0, 5, 5, 9, 9], [1, 0, 0, 9, 9]]
BACKWARD_ROIS = [[0, 0, 0, 4, 4], [0, 0, 2, 3, 4], [0, 2, 2, 4, 4]]


@functools.partial(jax.jit, static_argnames="output_size")
def pool(images, rois, *, output_size):
    """Pools from images [b, h, w, c]; rois [n, 5] are (image, x1, y1, x2, y2)."""
    _, height, width, channels = images.shape
    which = rois[:, 0].astype(jnp.int32)
    maps = Maps(
        offset=which * (height * width),
        height=jnp.full(which.shape, height),
        width=jnp.full(which.shape, width),
    )
    return ops.roi_pool(
        images.reshape(-1, channels),
        rois[:, 1:],
        maps,
        output_size=output_size,
        longest_side=LONGEST_SIDE,
    )


def largest_of_slices(images, rois, *, output_size):
    """Whole boxes in whole pixels, so that nothing is rounded."""

    def part(k, block):
        return slice(math.floor(k * block), math.ceil((k + 1) * block))

    result = np.zeros((len(rois), output_size, output_size, images.shape[-1]))
    for n, (image, x1, y1, x2, y2) in enumerate(rois):
        inside = images[image, y1 : y2 + 1, x1 : x2 + 1]
        height, width = (side / output_size for side in inside.shape[:2])
        for i, j in np.ndindex(output_size, output_size):
            cell = inside[part(i, height), part(j, width)]
            result[n, i, j] = cell.max((0, 1)) if cell.size else 0
    return result


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_forward(dtype):
    """Two images of 10x10 with 50 channels, 5x5 cells."""
    images = np.random.default_rng(0).random((2, 10, 10, 50)).astype(dtype)
    found = pool(jnp.asarray(images), jnp.asarray(ROIS, dtype), output_size=5)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, largest_of_slices(images, ROIS, output_size=5))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", range(3))
def test_backward(seed):
    """An image of 5x5 with two channels, 5x5 cells: numeric gradients."""
    rng = np.random.default_rng(seed)
    image, rois = jnp.asarray(rng.random((1, 5, 5, 2))), jnp.asarray(BACKWARD_ROIS, float)
    weights = rng.normal(size=(len(BACKWARD_ROIS), 5, 5, 2))
    total = jax.jit(lambda x: (pool(x, rois, output_size=5) * weights).sum())
    gradient = jax.jit(jax.grad(total))(image)
    for place in np.ndindex(image.shape):
        step = jnp.zeros_like(image).at[place].set(1e-6)
        numeric = (total(image + step) - total(image - step)) / 2e-6
        np.testing.assert_allclose(gradient[place], numeric, rtol=1e-5, atol=1e-5)


def test_boxes_at_random_places():
    """Values and gradients of torchvision itself, for 100 boxes in and beyond two images."""
    images, rois, weights = roi_pool_case()
    images, weights = (x.transpose(0, 2, 3, 1) for x in (images, weights))

    def total(images):
        found = pool(images, rois, output_size=7)
        return (found * weights).sum(), found

    gradient, found = jax.jit(jax.grad(total, has_aux=True))(jnp.asarray(images))
    expected = outputs()
    np.testing.assert_array_equal(found, expected["roi_pool"].transpose(0, 2, 3, 1))
    flow = expected["roi_pool_gradient"].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(gradient, flow)
