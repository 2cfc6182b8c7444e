import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from maskrcnn_jax.ops import roi_align as ops
from maskrcnn_jax.ops.sampling_grid import Maps

CHANNELS, OUTPUT_SIZE = 2, 3
SHAPES = ((9, 14), (11, 5), (1, 6))  # of the maps, one after another in the list of pixels
LONGEST_SIDE = 30

# (samples per cell, half-pixel centres); None is adaptive
FLAVOURS = [(1, True), (2, True), (2, False), (3, False), (None, True), (None, False)]

BOXES = (
    (2.3, 1.1, 7.9, 6.4),
    (0, 0, 14, 9),  # all of the first map
    (-6.2, -3.4, 4.1, 5.5),  # partly outside on every side
    (3.7, 4.4, 19.3, 17.8),
    (-8, -7, 21, 22),  # larger than any map, nearly as large as allowed
    (40, 40, 45, 50),  # outside
    (4.2, 3.1, 4.4, 3.2),  # much smaller than a pixel
    (1, 0.4, 13.2, 0.5),  # long and thin
    (2.1, -1, 2.3, 11),
    (-1.5, 4.5, 4.5, 10.5),  # samples at exactly x = -1 and y = 9, the last places that count
    (5, 3, 5, 3),  # without area
    (6, 4, 3, 2),
)


@functools.partial(jax.jit, static_argnames=("samples_per_cell", "half_pixel"))
def mean(pixels, boxes, maps, samples_per_cell=None, half_pixel=True):
    return ops.roi_align(
        pixels,
        boxes,
        maps,
        output_size=OUTPUT_SIZE,
        samples_per_cell=samples_per_cell,
        half_pixel=half_pixel,
        longest_side=LONGEST_SIDE,
    )


@functools.partial(jax.jit, static_argnames=("samples_per_cell", "half_pixel"))
def largest(pixels, boxes, maps, samples_per_cell=2, half_pixel=True):
    return ops.roi_align_max(
        pixels,
        boxes,
        maps,
        output_size=OUTPUT_SIZE,
        samples_per_cell=samples_per_cell,
        half_pixel=half_pixel,
    )


def random_maps(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(*shape, CHANNELS)) for shape in SHAPES]


def inputs(maps, boxes, *, dtype=np.float64):
    """Each box on each of the maps, and which map that is."""
    pixels = np.concatenate([x.reshape(-1, CHANNELS) for x in maps])
    heights, widths = np.array(SHAPES, np.int32).T
    offsets = np.cumsum([0, *(heights * widths)[:-1]], dtype=np.int32)
    which = np.tile(np.arange(len(maps)), len(boxes))
    where = Maps(*(jnp.asarray(x[which]) for x in (offsets, heights, widths)))
    boxes = np.repeat(np.asarray(boxes, dtype), len(maps), axis=0)
    return (jnp.asarray(pixels, dtype), jnp.asarray(boxes), where), which


def bilinear(feature_map, y, x):
    height, width = feature_map.shape[:2]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(CHANNELS)
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    total = np.zeros(CHANNELS)
    for i, j in itertools.product({math.floor(y), math.ceil(y)}, {math.floor(x), math.ceil(x)}):
        total += feature_map[i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return total


def slow_roi_align(feature_map, box, *, samples_per_cell, half_pixel, reduce=np.mean):
    """Sample by sample, from the definition."""
    start, size = np.array(box[:2]), np.array(box[2:]) - box[:2]
    start, size = (start - 0.5, size) if half_pixel else (start, np.maximum(size, 1))
    cell = size / OUTPUT_SIZE
    columns, rows = [samples_per_cell or math.ceil(side) for side in cell]
    result = np.zeros((OUTPUT_SIZE, OUTPUT_SIZE, CHANNELS))
    for i, j in itertools.product(range(OUTPUT_SIZE), repeat=2):
        samples = [
            bilinear(
                feature_map,
                start[1] + (i + (s + 0.5) / rows) * cell[1],
                start[0] + (j + (t + 0.5) / columns) * cell[0],
            )
            for s, t in itertools.product(range(rows), range(columns))
        ]
        if samples:
            result[i, j] = reduce(samples, axis=0)
    return result


def slow_rois(maps, boxes, **options):
    return [slow_roi_align(x, box, **options) for box in boxes for x in maps]


def random_boxes(seed, count):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-6, 10, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(0, 18, (count, 2))], 1)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("samples_per_cell", "half_pixel"), FLAVOURS)
def test_mean_equals_the_slow_loop(samples_per_cell, half_pixel):
    maps, boxes = random_maps(0), [*BOXES, *random_boxes(1, 20)]
    options = {"samples_per_cell": samples_per_cell, "half_pixel": half_pixel}
    pooled = mean(*inputs(maps, boxes)[0], **options)
    np.testing.assert_allclose(pooled, slow_rois(maps, boxes, **options), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("samples_per_cell", "half_pixel"), [(1, True), (2, True), (3, False)])
def test_max_equals_the_slow_loop(samples_per_cell, half_pixel):
    maps, boxes = random_maps(2), [*BOXES, *random_boxes(3, 20)]
    options = {"samples_per_cell": samples_per_cell, "half_pixel": half_pixel}
    pooled = largest(*inputs(maps, boxes)[0], **options)
    expected = slow_rois(maps, boxes, **options, reduce=np.max)
    np.testing.assert_allclose(pooled, expected, rtol=0, atol=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([2, None]))
def test_a_plane_gives_its_value_at_the_middle_of_each_cell(seed, samples_per_cell):
    """Bilinear sampling is exact on planes, and samples lie evenly around the middle."""
    rng = np.random.default_rng(seed)
    height, width = SHAPES[0]
    y, x = np.mgrid[:height, :width] + 0.5  # where pixel centres are
    a, b, c = rng.normal(size=3)
    plane = np.stack([a * x + b * y + c, np.ones_like(x)], -1)
    corners = rng.uniform(0.5, [width - 0.5, height - 0.5], (4, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    (pixels, boxes_on_maps, maps), which = inputs(
        [plane, *random_maps(0)[1:]], boxes, dtype=np.float32
    )
    pooled = mean(pixels, boxes_on_maps, maps, samples_per_cell)[which == 0]
    middle = (np.arange(OUTPUT_SIZE) + 0.5) / OUTPUT_SIZE
    at_x = boxes[:, None, [0]] + middle[:, None] * (boxes[:, 2] - boxes[:, 0])[:, None, None]
    at_y = boxes[:, None, [1]] + middle[:, None] * (boxes[:, 3] - boxes[:, 1])[:, None, None]
    expected = a * at_x.swapaxes(1, 2) + b * at_y + c
    np.testing.assert_allclose(pooled[..., 0], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(pooled[..., 1], 1, rtol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("samples_per_cell", "half_pixel"), [(2, True), (None, False)])
def test_the_gradient_of_the_mean_is_its_adjoint(samples_per_cell, half_pixel):
    """<mean(p), g> = <p, gradient(g)>: the mean is linear in the pixels."""
    (pixels, boxes, maps), _ = inputs(random_maps(4), [*BOXES, *random_boxes(5, 20)])
    pool = functools.partial(
        mean, boxes=boxes, maps=maps, samples_per_cell=samples_per_cell, half_pixel=half_pixel
    )
    other = jax.random.normal(jax.random.key(0), pixels.shape)
    pooled, backward = jax.vjp(pool, other)
    g = jax.random.normal(jax.random.key(1), pooled.shape)
    np.testing.assert_allclose(jnp.vdot(pool(pixels), g), jnp.vdot(pixels, backward(g)[0]))


def test_the_gradient_has_the_products_of_one_pair_at_a_time():
    """Not those of all sixteen."""
    pixels, boxes = jnp.ones((16, 64)), jnp.ones((100, 4))
    maps = Maps(*(jnp.full(100, x, jnp.int32) for x in (0, 4, 4)))

    def gradient(pixels, boxes, pooled):
        pool = functools.partial(mean, boxes=boxes, maps=maps, samples_per_cell=2)
        return jax.vjp(pool, pixels)[1](pooled)

    pooled = jnp.ones((100, OUTPUT_SIZE, OUTPUT_SIZE, 64))
    program = jax.jit(gradient).lower(pixels, boxes, pooled).compile()
    assert program.memory_analysis().temp_size_in_bytes < 2 * pooled.nbytes


@pytest.mark.usefixtures("x64")
def test_the_gradient_of_the_max():
    (pixels, boxes, maps), _ = inputs(random_maps(6), BOXES[:4])
    check_grads(lambda pixels: largest(pixels, boxes, maps), (pixels,), order=1, modes=["rev"])


@pytest.mark.parametrize("pool", [mean, largest])
def test_no_gradient_flows_to_the_boxes(pool):
    (pixels, boxes, maps), _ = inputs(random_maps(7), BOXES, dtype=np.float32)
    gradient = jax.grad(lambda boxes: pool(pixels, boxes, maps).sum())(boxes)
    assert not gradient.any()


@pytest.mark.parametrize("pool", [mean, largest])
def test_sums_over_pixels_of_low_precision_are_taken_in_that_of_the_boxes(pool):
    """Forwards and backwards, where many cells add to one pixel; each result is rounded once."""
    (pixels, boxes, maps), _ = inputs(random_maps(8), BOXES, dtype=np.float32)
    low = pixels.astype(jnp.bfloat16)
    pooled, backward = jax.vjp(lambda x: pool(x, boxes, maps), low)
    expected, full_backward = jax.vjp(lambda x: pool(x, boxes, maps), low.astype(jnp.float32))
    np.testing.assert_array_equal(pooled, expected.astype(jnp.bfloat16))
    (gradient,), (wanted,) = backward(pooled), full_backward(pooled.astype(jnp.float32))
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_array_equal(gradient, wanted.astype(jnp.bfloat16))


def test_a_roi_does_not_depend_on_the_others():
    """The smallest box alone needs fewer rounds than with the largest one beside it."""
    (pixels, boxes, maps), _ = inputs(random_maps(9), BOXES, dtype=np.float32)
    together = mean(pixels, boxes, maps)
    order = np.random.default_rng(0).permutation(len(boxes))
    moved = mean(pixels, boxes[order], Maps(*(x[order] for x in maps)))
    np.testing.assert_array_equal(moved, together[order])
    alone = [mean(pixels, boxes[i, None], Maps(*(x[i, None] for x in maps)))[0] for i in range(36)]
    np.testing.assert_allclose(jnp.stack(alone), together, rtol=0, atol=1e-6)


def test_vmap_equals_the_loop():
    pixels = jnp.stack([inputs(random_maps(s), BOXES, dtype=np.float32)[0][0] for s in (0, 1)])
    (_, boxes, maps), _ = inputs(random_maps(0), BOXES, dtype=np.float32)
    boxes = jnp.stack([boxes, boxes[::-1]])
    together = jax.vmap(mean, in_axes=(0, 0, None))(pixels, boxes, maps)
    alone = [mean(pixels[i], boxes[i], maps) for i in range(2)]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pool", [mean, largest])
def test_no_rois(pool):
    (pixels, _, maps), _ = inputs(random_maps(0), BOXES, dtype=np.float32)
    pooled = pool(pixels, jnp.zeros((0, 4)), Maps(*(x[:0] for x in maps)))
    assert pooled.shape == (0, OUTPUT_SIZE, OUTPUT_SIZE, CHANNELS)
