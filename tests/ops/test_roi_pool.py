import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import roi_pool as ops
from maskrcnn_jax.ops.sampling_grid import Maps

CHANNELS, OUTPUT_SIZE, LONGEST_SIDE = 3, 7, 110
SHAPES = ((9, 14), (11, 5), (1, 6))  # of the maps, one after another in the list of pixels

BOXES = (
    (2.3, 1.1, 7.9, 6.4),
    (0, 0, 13, 8),  # all of the first map
    (-6.2, -3.4, 4.1, 5.5),  # partly outside on every side
    (3.7, 4.4, 19.3, 17.8),
    (-80, -70, 21, 22),
    (40, 40, 45, 50),  # outside
    (0.5, 1.5, 2.5, 3.5),  # halves
    (-0.5, -1.5, 2.49, 3.51),
    (4.2, 3.1, 4.4, 3.2),  # smaller than a pixel
    (1, 0.4, 13.2, 0.5),  # long and thin
    (6, 4, 3, 2),  # without area
    (-20, -28, 10, 28),  # 31 and 57 pixels, whose sevenths do not add up to them
)


@jax.jit
def roi_pool(pixels, boxes, maps):
    return ops.roi_pool(pixels, boxes, maps, output_size=OUTPUT_SIZE, longest_side=LONGEST_SIDE)


@jax.jit
def gradient(pixels, boxes, maps, weights):
    return jax.grad(lambda x: (roi_pool(x, boxes, maps) * weights).sum())(pixels)


def inputs(seed):
    """Maps of few different values, each box on each of them, and which map that is."""
    rng = np.random.default_rng(seed)
    maps = [rng.integers(-3, 3, (*shape, CHANNELS)).astype(np.float32) for shape in SHAPES]
    heights, widths = np.array(SHAPES, np.int32).T
    offsets = np.cumsum([0, *(heights * widths)[:-1]], dtype=np.int32)
    which = np.tile(np.arange(len(maps)), len(BOXES))
    pixels = jnp.asarray(np.concatenate([x.reshape(-1, CHANNELS) for x in maps]))
    boxes = jnp.asarray(np.repeat(np.float32(BOXES), len(maps), axis=0))
    where = Maps(*(jnp.asarray(x[which]) for x in (offsets, heights, widths)))
    return maps, which, (pixels, boxes, where)


def rounded(x):
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def cell(start, size, number, length):
    side = np.float32(size) / np.float32(OUTPUT_SIZE)  # torchvision rounds here too
    low = start + math.floor(np.float32(number) * side)
    high = start + math.ceil(np.float32(number + 1) * side)
    return range(min(max(low, 0), length), min(max(high, 0), length))


def slow_places(feature_map, box):
    """For each cell and channel the (row, column) of its largest value, or None."""
    x1, y1, x2, y2 = map(rounded, box)
    width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    for i, j, channel in np.ndindex(OUTPUT_SIZE, OUTPUT_SIZE, CHANNELS):
        rows = cell(y1, height, i, feature_map.shape[0])
        columns = cell(x1, width, j, feature_map.shape[1])
        pixels = [(row, column) for row in rows for column in columns]
        best = max(pixels, key=lambda p: feature_map[(*p, channel)], default=None)  # the first
        yield (i, j, channel), best


@pytest.mark.parametrize("seed", range(3))
def test_values_and_gradients_equal_the_slow_loop(seed):
    maps, which, arguments = inputs(seed)
    shape = (len(which), OUTPUT_SIZE, OUTPUT_SIZE, CHANNELS)
    weights = np.random.default_rng(seed).integers(-9, 9, shape).astype(np.float32)
    expected, flow = np.zeros(shape, np.float32), [np.zeros_like(x) for x in maps]
    for n, number in enumerate(which):
        for (i, j, channel), place in slow_places(maps[number], BOXES[n // len(maps)]):
            if place is not None:
                expected[n, i, j, channel] = maps[number][(*place, channel)]
                flow[number][(*place, channel)] += weights[n, i, j, channel]
    np.testing.assert_array_equal(roi_pool(*arguments), expected)
    flow = np.concatenate([x.reshape(-1, CHANNELS) for x in flow])
    np.testing.assert_array_equal(gradient(*arguments, weights), flow)


def test_bfloat16_is_pooled_as_it_is_and_its_gradient_is_added_up_in_float32():
    _, _, (pixels, boxes, where) = inputs(0)
    half = roi_pool(pixels.astype(jnp.bfloat16), boxes, where)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half.astype(np.float32), roi_pool(pixels, boxes, where))
    text = jax.make_jaxpr(functools.partial(gradient, weights=np.float32(1)))(
        pixels.astype(jnp.bfloat16), boxes, where
    )
    assert "bf16" in str(text)
    [addition] = [line for line in str(text).splitlines() if "scatter-add" in line]
    assert f"f32[{len(pixels)},{CHANNELS}]" in addition


def test_there_may_be_no_rois():
    _, _, (pixels, boxes, where) = inputs(0)
    none = jax.tree.map(lambda x: x[:0], (boxes, where))
    assert roi_pool(pixels, *none).shape == (0, OUTPUT_SIZE, OUTPUT_SIZE, CHANNELS)
