import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.ops.paste import instance_map, paste_masks

HEIGHT, WIDTH = 23, 31


def slow_paste(mask, box, height, width):
    """Bilinear samples at the pixel centres, cell by cell, zero where a tap is outside."""
    x1, y1, x2, y2 = box
    rows, columns = mask.shape
    canvas = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            u = (x + 0.5 - x1) / (x2 - x1) * columns - 0.5
            v = (y + 0.5 - y1) / (y2 - y1) * rows - 0.5
            left, top = int(np.floor(u)), int(np.floor(v))
            for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= i < rows and 0 <= j < columns:
                    canvas[y, x] += (1 - abs(v - i)) * (1 - abs(u - j)) * mask[i, j]
    return canvas


def make_masks(seed, num=4, dtype=np.float32):
    rng = np.random.default_rng(seed)
    masks = rng.uniform(size=(num, 7, 5)).astype(dtype)
    low = rng.uniform(-6, 20, (num, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.3, 25, (num, 2))], 1).astype(dtype)
    return masks, boxes


@jax.jit
def paste(masks, boxes, valid):
    return paste_masks(masks, boxes, valid=valid, height=HEIGHT, width=WIDTH)


def test_paste_equals_the_slow_loop_in_float64():
    masks, boxes = make_masks(0, dtype=np.float64)
    with jax.enable_x64(True):
        pasted = paste(masks, boxes, np.ones(4, bool))
    assert pasted.dtype == np.float64
    expected = [slow_paste(m, b, HEIGHT, WIDTH) for m, b in zip(masks, boxes, strict=True)]
    np.testing.assert_allclose(pasted, expected, rtol=0, atol=1e-13)


def test_float32_stays_float32_when_wider_types_are_allowed():
    masks, boxes = make_masks(1)
    with jax.enable_x64(True):
        assert paste(masks, boxes, np.ones(4, bool)).dtype == np.float32


def test_garbage_in_invalid_entries_changes_nothing():
    masks, boxes = make_masks(2)
    valid = np.array([True, False, True, False])
    clean = paste(masks, boxes, valid)
    masks[~valid], boxes[~valid] = np.nan, np.inf
    dirty = paste(masks, boxes, valid)
    np.testing.assert_array_equal(clean, dirty)
    assert not dirty[~valid].any()
    assert dirty[valid].any()


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [9, 5, 3, 8], [np.nan, 0, 4, 4], [0, 0, np.inf, 4]])
def test_boxes_without_area_give_empty_masks(box):
    pasted = paste(np.ones((1, 3, 3), np.float32), np.array([box], np.float32), np.array([True]))
    np.testing.assert_array_equal(pasted, np.zeros((1, HEIGHT, WIDTH)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_values_are_probabilities_and_vanish_half_a_cell_outside_the_box(seed):
    masks, boxes = make_masks(seed)
    pasted = np.asarray(paste(masks, boxes, np.ones(4, bool)))
    assert pasted.min() >= 0
    assert pasted.max() <= 1 + 1e-6
    x, y = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
    for image, (x1, y1, x2, y2) in zip(pasted, boxes, strict=True):
        margin_x, margin_y = (x2 - x1) / 10 + 1e-4, (y2 - y1) / 14 + 1e-4
        far_x = (x < x1 - margin_x) | (x > x2 + margin_x)
        far_y = (y < y1 - margin_y) | (y > y2 + margin_y)
        assert not image[:, far_x].any()
        assert not image[far_y].any()


def test_jit_equals_eager():
    masks, boxes = make_masks(3)
    valid = np.ones(4, bool)
    with jax.disable_jit():
        eager = paste(jnp.asarray(masks), jnp.asarray(boxes), jnp.asarray(valid))
    np.testing.assert_allclose(paste(masks, boxes, valid), eager, atol=1e-6)


def slow_instance_map(masks, scores, valid):
    owners = np.zeros(masks.shape[1:], int)
    best = np.full(masks.shape[1:], -np.inf)
    for i in range(len(masks)):
        won = masks[i] & (scores[i] > best) & valid[i]
        owners[won], best[won] = i + 1, scores[i]
    return owners


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_instance_map_gives_each_pixel_to_the_best_score_and_ties_to_the_earlier(seed):
    rng = np.random.default_rng(seed)
    masks = rng.uniform(size=(6, 5, 4)) < 0.5
    scores = rng.integers(0, 4, 6).astype(np.float32) / 4
    valid = rng.uniform(size=6) < 0.7
    owners = instance_map(jnp.asarray(masks), jnp.asarray(scores), valid=jnp.asarray(valid))
    assert owners.dtype == np.int32
    np.testing.assert_array_equal(owners, slow_instance_map(masks, scores, valid))


def test_instance_map_ignores_garbage_and_works_without_detections():
    masks = np.zeros((2, 3, 3), bool)
    masks[0, 0], masks[1] = True, True
    valid = jnp.array([True, False])
    owners = instance_map(jnp.asarray(masks), jnp.array([0.5, np.nan]), valid=valid)
    np.testing.assert_array_equal(owners, masks[0].astype(int))
    none = instance_map(jnp.zeros((0, 3, 3), bool), jnp.zeros(0), valid=jnp.zeros(0, bool))
    np.testing.assert_array_equal(none, np.zeros((3, 3)))
