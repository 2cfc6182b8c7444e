from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.roi.pooling import RoIAlignConfig, RoIPoolConfig, assign_levels, pool

HEIGHT, WIDTH = 256, 320
CONFIG = RoIAlignConfig(output_size=4, samples_per_cell=2)
POOL = RoIPoolConfig(output_size=4)


def pyramid(value):
    """``value(level, rows, columns)`` at the centre of each cell, in pixels of the image."""
    levels = {}
    for level in (2, 3, 4, 5):
        y, x = (np.mgrid[: HEIGHT >> level, : WIDTH >> level] + 0.5) * 2**level
        levels[level] = np.broadcast_to(value(level, y, x), (2, *y.shape))[..., None]
    return jax.tree.map(np.float32, levels)


def random_rois(seed, count=12):
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(8), np.log(180), (2 * count, 2)))
    low = 16 + rng.uniform(0, 1, (2 * count, 2)) * ([WIDTH - 32, HEIGHT - 32] - sides)
    return np.float32(np.concatenate([low, low + sides], 1)).reshape(2, count, 4)


@partial(jax.jit, static_argnames="config")
def jit_pool(features, boxes, valid, config=CONFIG):
    return pool(features, boxes, valid, config=config)


@pytest.mark.parametrize(
    ("side", "level"),
    [(0, 2), (1, 2), (111, 2), (112, 3), (223, 3), (224, 4), (447, 4), (448, 5), (5000, 5)],
)
def test_levels_change_at_224_times_powers_of_two(side, level):
    for width in (side, 4 * side):  # only the area counts
        box = jnp.asarray([[3.0, 5.0, 3.0 + width, 5.0 + (side**2 / width if side else 0)]])
        assert assign_levels(box, lowest=2, highest=5) == level


@pytest.mark.parametrize("config", [CONFIG, POOL])
def test_rois_are_read_from_the_level_of_their_size(config):
    boxes, features = random_rois(0), pyramid(lambda level, y, x: level + 0 * x)
    pooled = jit_pool(features, boxes, np.ones((2, 12), bool), config=config)
    levels = assign_levels(jnp.asarray(boxes), lowest=2, highest=5)
    assert pooled.shape == (2, 12, 4, 4, 1)
    assert len(np.unique(levels)) > 1
    expected = np.broadcast_to(np.asarray(levels)[:, :, None, None, None], pooled.shape)
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


@pytest.mark.parametrize("samples", [2, None])
def test_a_ramp_is_read_at_the_centre_of_each_cell(samples):
    """On every level: features, boxes and cells are in one frame, without a shift."""
    config = RoIAlignConfig(output_size=4, samples_per_cell=samples)
    boxes, valid = random_rois(1), np.ones((2, 12), bool)
    features = pyramid(lambda level, y, x: np.stack([x, 1000 * y]))  # the image picks the axis
    pooled = jit_pool(features, boxes, valid, config=config)[..., 0]
    at = (np.arange(4) + 0.5) / 4
    x = boxes[0, :, :1] + at * (boxes[0, :, 2:3] - boxes[0, :, :1])
    y = boxes[1, :, 1:2] + at * (boxes[1, :, 3:] - boxes[1, :, 1:2])
    np.testing.assert_allclose(pooled[0], np.tile(x[:, None], (1, 4, 1)), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(pooled[1] / 1000, np.tile(y[:, :, None], (1, 1, 4)), rtol=1e-4)


def test_the_maximum_of_a_ramp_is_its_last_sample():
    config = RoIAlignConfig(output_size=4, samples_per_cell=2, reduction="max")
    boxes = random_rois(2)
    pooled = jit_pool(pyramid(lambda level, y, x: x), boxes, np.ones((2, 12), bool), config=config)
    at = (np.arange(4) + 0.75) / 4
    x = boxes[..., :1] + at * (boxes[..., 2:3] - boxes[..., :1])
    expected = np.tile(x[:, :, None], (1, 1, 4, 1))
    np.testing.assert_allclose(pooled[..., 0], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30, 1e30])
@pytest.mark.parametrize("config", [CONFIG, RoIAlignConfig(output_size=4), POOL])
def test_invalid_rois_may_hold_anything(garbage, config):
    boxes, valid = random_rois(3), np.arange(12) < np.array([[12], [7]])
    rng = np.random.default_rng(0)
    features = pyramid(lambda level, y, x: rng.normal(size=x.shape))
    weights = rng.normal(size=(2, 12, 4, 4, 1)) * valid[..., None, None, None]

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def total(features, boxes):
        pooled = pool(features, boxes, jnp.asarray(valid), config=config)
        return (pooled * weights).sum(), pooled

    clean = total(features, np.where(valid[..., None], boxes, 0))
    dirty = total(features, np.where(valid[..., None], boxes, np.float32(garbage)))
    assert np.isfinite(dirty[0][1]).all()
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)


def test_the_maximum_needs_a_number_of_samples():
    with pytest.raises(InputError, match=r"samples_per_cell.*None \(adaptive\)"):
        RoIAlignConfig(output_size=7, reduction="max")


def test_the_pooled_maximum_of_a_ramp_is_its_last_column():
    boxes, level = random_rois(4), 3
    config = RoIPoolConfig(output_size=4, levels=(level,))
    pooled = jit_pool(pyramid(lambda level, y, x: x), boxes, np.ones((2, 12), bool), config=config)
    right = (np.round(boxes[..., 2] / 2**level) + 0.5) * 2**level
    assert (right < WIDTH).all()
    np.testing.assert_array_equal(pooled[..., -1, 0], np.tile(right[..., None], 4))
