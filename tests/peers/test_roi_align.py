"""RoIAlign: cases of torchvision's test_ops.py and test_onnx.py and Detectron2's test_roi_align.py,
test_roi_align_rotated.py and test_roi_pooler.py."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.ndimage import map_coordinates

from maskrcnn_jax.ops.roi_align import roi_align
from maskrcnn_jax.ops.sampling_grid import Maps
from maskrcnn_jax.roi.pooling import RoIAlignConfig, pool
from tests.peers import oracles

LONGEST_SIDE = 30  # of all boxes here


@functools.partial(jax.jit, static_argnames=("output_size", "samples_per_cell", "half_pixel"))
def align(images, rois, *, output_size, samples_per_cell, half_pixel):
    """Pools from images [b, h, w, c]; rois [n, 5] are (image, x1, y1, x2, y2)."""
    _, height, width, channels = images.shape
    which = rois[:, 0].astype(jnp.int32)
    return roi_align(
        images.reshape(-1, channels),
        rois[:, 1:],
        Maps(
            offset=which * (height * width),
            height=jnp.full(which.shape, height),
            width=jnp.full(which.shape, width),
        ),
        output_size=output_size,
        samples_per_cell=samples_per_cell,
        half_pixel=half_pixel,
        longest_side=LONGEST_SIDE,
    )


def align_one(image, box, *, output_size, samples_per_cell=None, half_pixel=True):
    """One box in one image [h, w] of one channel."""
    return align(
        jnp.asarray(image)[None, :, :, None],
        jnp.asarray([[0, *box]], jnp.result_type(float)),
        output_size=output_size,
        samples_per_cell=samples_per_cell,
        half_pixel=half_pixel,
    )[0, ..., 0]


# ---- torchvision, test_ops.py: TestRoIAlign ---------------------------------------------------

ROIS = [[0, 0, 0, 9, 9], [0, 0, 5, 4, 9], [0, 5, 5, 9, 9], [1, 0, 0, 9, 9]]
BACKWARD_ROIS = [[0, 0, 0, 4, 4], [0, 0, 2, 3, 4], [0, 2, 2, 4, 4]]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("half_pixel", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("f2", 4e-3), ("f4", 1e-5), ("f8", 1e-12)])
def test_forward(half_pixel, dtype, tolerance):
    images = np.random.default_rng(0).random((2, 10, 10, 50)).astype(dtype)
    box_dtype = np.promote_types(dtype, np.float32)  # ours are never of half precision
    pooled = align(
        images,
        np.array(ROIS, box_dtype),
        output_size=5,
        samples_per_cell=None,
        half_pixel=half_pixel,
    )
    assert pooled.dtype == dtype
    expected = [
        oracles.roi_align(
            images[image], box, output_size=5, samples_per_cell=None, half_pixel=half_pixel
        )
        for image, *box in ROIS
    ]
    np.testing.assert_allclose(pooled, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", range(10))
def test_backward(seed):
    """Each pixel receives from a cell what the cell has of it."""
    options = {"output_size": 2, "samples_per_cell": 1, "half_pixel": False}
    rng = np.random.default_rng(seed)
    image, rois = rng.random((1, 5, 5, 8)), np.array(BACKWARD_ROIS, float)
    pooled, backward = jax.vjp(lambda image: align(image, rois, **options), image)
    g = rng.normal(size=pooled.shape)
    pixels = np.eye(25).reshape(5, 5, 25)  # a channel for each pixel
    shares = [oracles.roi_align(pixels, box, **options) for _, *box in rois]
    expected = np.einsum("nijp,nijc->pc", shares, g).reshape(1, 5, 5, 8)
    np.testing.assert_allclose(backward(jnp.asarray(g))[0], expected, atol=1e-12)


# ---- torchvision, test_onnx.py: test_roi_align, test_roi_align_aligned, ..._malformed_boxes -----


@pytest.mark.parametrize(
    ("box", "output_size", "scale", "samples_per_cell", "half_pixel"),
    [
        ((0, 0, 4, 4), 5, 1, 2, False),
        ((0, 0, 4, 4), 5, 1, None, False),
        ((1.5, 1.5, 3, 3), 5, 1, 2, True),
        ((0.2, 0.3, 4.5, 3.5), 5, 0.5, 3, True),
        ((0.2, 0.3, 4.5, 3.5), 5, 1.8, 2, True),
        ((0.2, 0.3, 4.5, 3.5), 2, 2.5, None, True),
        ((2, 0.3, 1.5, 1.5), 5, 1, 1, True),  # malformed: x2 < x1
    ],
)
def test_one_box(box, output_size, scale, samples_per_cell, half_pixel):
    image = np.random.default_rng(0).random((10, 10)).astype(np.float32)
    box = np.float32(box) * np.float32(scale)
    options = {
        "output_size": output_size,
        "samples_per_cell": samples_per_cell,
        "half_pixel": half_pixel,
    }
    expected = oracles.roi_align(image[..., None], box, **options)[..., 0]
    np.testing.assert_allclose(align_one(image, box, **options), expected, rtol=1e-5, atol=1e-5)


# ---- Detectron2, tests/layers/test_roi_align.py (test_roi_align_rotated.py at angle 0) ----------


@pytest.mark.parametrize(("half_pixel", "first"), [(False, 7.5), (True, 4.5)])
def test_forward_output(half_pixel, first):
    """On 0..24 in rows of 5 the cells are steps of .5 in x and of 2.5 in y."""
    image = np.arange(25, dtype=np.float32).reshape(5, 5)
    pooled = align_one(image, (1, 1, 3, 3), output_size=4, half_pixel=half_pixel)
    expected = first + 2.5 * np.arange(4)[:, None] + 0.5 * np.arange(4)
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


def random_image(side):
    return (np.random.default_rng(0).random((side, side)) * 100).astype(np.float32)


def test_resize():
    """Averages do not change when the image is halved."""
    image = random_image(30)
    half = cv2.resize(image, (15, 15), interpolation=cv2.INTER_LINEAR)
    pooled = align_one(image, (10, 10, 20, 20), output_size=5)
    np.testing.assert_allclose(align_one(half, (5, 5, 10, 10), output_size=5), pooled, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_grid_sample_equivalence(samples):
    image = random_image(30)
    position = 10 + (np.arange(5 * samples) + 0.5) * 10 / (5 * samples) - 0.5
    at = np.meshgrid(position, position, indexing="ij")
    sampled = jax.jit(functools.partial(map_coordinates, order=1))(image, at)
    expected = sampled.reshape(5, samples, 5, samples).mean((1, 3))
    pooled = align_one(image, (10, 10, 20, 20), output_size=5, samples_per_cell=samples)
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)


def test_empty_box():
    def total(image):
        pooled = align_one(image, (3, 4, 5, 4), output_size=7)
        return pooled.sum(), pooled

    gradient, pooled = jax.jit(jax.grad(total, has_aux=True))(random_image(5))
    np.testing.assert_array_equal(pooled, np.zeros((7, 7)))
    np.testing.assert_array_equal(gradient, np.zeros((5, 5)))


def test_empty_batch():
    images, rois = jnp.zeros((0, 10, 10, 3)), jnp.zeros((0, 5))
    pooled = align(images, rois, output_size=7, samples_per_cell=None, half_pixel=True)
    assert pooled.shape == (0, 7, 7, 3)


# ---- Detectron2, tests/modeling/test_roi_pooler.py --------------------------------------------


def test_pooler_of_one_level():
    """Two images, ten boxes each, all read from level 4."""
    rng = np.random.default_rng(0)
    height, width, stride = 10, 8, 16
    features = (rng.random((2, height, width, 4)) - 0.5) * 22
    corners = rng.random((2, 10, 2, 2)) * [width * stride, height * stride]
    boxes = np.concatenate([corners.min(-2), corners.max(-2)], axis=-1)
    config = RoIAlignConfig(output_size=14, levels=(4,))
    pooled = jax.jit(functools.partial(pool, config=config))(
        {4: np.float32(features)}, np.float32(boxes), np.ones((2, 10), bool)
    )
    expected = [
        [
            oracles.roi_align(
                image, box / stride, output_size=14, samples_per_cell=None, half_pixel=True
            )
            for box in image_boxes
        ]
        for image, image_boxes in zip(features, boxes, strict=True)
    ]
    np.testing.assert_allclose(pooled, expected, atol=1e-4)
