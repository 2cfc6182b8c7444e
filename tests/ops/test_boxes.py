import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops import boxes as box_ops

WEIGHTS = (10.0, 10.0, 5.0, 5.0)

iou = jax.jit(box_ops.iou)
encode = jax.jit(box_ops.encode, static_argnums=2)
decode = jax.jit(box_ops.decode, static_argnums=2)


def random_boxes(seed, count, *, least=0.0):
    """Boxes with sides from ``least`` on; below 0 a side runs backwards and the box is empty."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-20, 20, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(least, 30, (count, 2))], 1)


def slow_area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def slow_iou(a, b):
    common = slow_area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return common / (slow_area(a) + slow_area(b) - common) if common > 0 else 0


@pytest.mark.usefixtures("x64")
def test_area_and_iou_equal_the_slow_loop():
    a, b = random_boxes(0, 12, least=-5), random_boxes(1, 9, least=-5)
    expected = [[slow_iou(x, y) for y in b] for x in a]
    np.testing.assert_allclose(iou(a, b), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(box_ops.area(jnp.asarray(a)), [slow_area(x) for x in a], atol=1e-12)


@given(st.integers(0, 10_000))
def test_iou_is_symmetric_and_a_share(seed):
    boxes = random_boxes(seed, 10, least=-5).astype(np.float32)
    boxes[1], boxes[2] = boxes[0], 0  # equal to another one, and empty
    overlaps = np.asarray(iou(boxes, boxes))
    np.testing.assert_allclose(overlaps, overlaps.T, rtol=0, atol=1e-7)  # rounding may differ
    assert overlaps.min() >= 0
    assert overlaps.max() <= 1 + 1e-6
    nonempty = np.asarray(box_ops.is_nonempty(jnp.asarray(boxes)))
    np.testing.assert_allclose(np.diag(overlaps), nonempty, rtol=1e-6)
    assert overlaps[0, 1] == overlaps[0, 0]


def test_a_box_of_nan_overlaps_nothing():
    boxes = np.array([[np.nan] * 4, [0, 0, 4, 4], [np.nan, 0, 4, 4]], np.float32)
    np.testing.assert_array_equal(iou(boxes, boxes), np.diag([0, 1, 0]))


def test_clip_moves_corners_into_the_image_and_leaves_boxes_inside_as_they_are():
    boxes = np.array([[-3, -2, 50, 90], [1, 2, 3, 4], [60, 5, 70, 9]], np.float32)
    clipped = jax.jit(box_ops.clip)(boxes, 30, 40)  # height and width are traced
    np.testing.assert_array_equal(clipped, [[0, 0, 40, 30], [1, 2, 3, 4], [40, 5, 40, 9]])


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 1, 1], True),
        ([0, 0, 0, 1], False),
        ([0, 0, 1, 0], False),
        ([5, 0, 4, 1], False),
        ([0, 0, np.inf, 1], False),
        ([np.nan, 0, 1, 1], False),
    ],
)
def test_is_nonempty(box, expected):
    assert bool(box_ops.is_nonempty(jnp.asarray(box, jnp.float32))) is expected


def test_encode_by_hand():
    """Centres (5, 10) and (15, 20), sides (10, 20) and (20, 20)."""
    anchor, box = jnp.array([[0.0, 0, 10, 20]]), jnp.array([[5.0, 10, 25, 30]])
    expected = [[10 * 10 / 10, 10 * 10 / 20, 5 * math.log(2), 0]]
    np.testing.assert_allclose(encode(box, anchor, WEIGHTS), expected, rtol=1e-6)


@given(st.integers(0, 10_000))
def test_decode_undoes_encode(seed):
    boxes, anchors = random_boxes(seed, 8, least=0.6), random_boxes(seed + 1, 8, least=0.6)
    with jax.enable_x64(True):
        back = decode(encode(boxes, anchors, WEIGHTS), anchors, WEIGHTS)
    np.testing.assert_allclose(back, boxes, rtol=0, atol=1e-11)


def test_a_box_grows_at_most_from_16_to_1000_pixels_but_shrinks_without_limit():
    anchor = jnp.array([[0.0, 0, 16, 16]])
    deltas = jnp.array([[0.0, 0, 9, -9]])
    x1, y1, x2, y2 = np.asarray(decode(deltas, anchor, (1.0, 1.0, 1.0, 1.0)))[0]
    np.testing.assert_allclose([x1, x2], [8 - 500, 8 + 500], rtol=1e-5)
    np.testing.assert_allclose(y2 - y1, 16 * math.exp(-9), rtol=1e-2)


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [3, 3, 2, 9], [np.nan] * 4])
def test_boxes_without_area_encode_to_zero_and_leave_the_others_alone(bad):
    boxes = random_boxes(3, 4, least=1).astype(np.float32)
    anchors = random_boxes(4, 4, least=1).astype(np.float32)
    clean = np.asarray(encode(boxes, anchors, WEIGHTS))
    boxes[1], anchors[2] = bad, bad
    dirty = encode(boxes, anchors, WEIGHTS)
    np.testing.assert_array_equal(dirty, clean * np.array([[1], [0], [0], [1]]))


def test_anchors_are_shared_by_the_images_of_a_batch():
    anchors = jnp.asarray(random_boxes(5, 4, least=1), jnp.float32)
    boxes = jnp.asarray(random_boxes(6, 12, least=1), jnp.float32).reshape(3, 4, 4)
    deltas = encode(boxes, anchors, WEIGHTS)
    one_by_one = [encode(image, anchors, WEIGHTS) for image in boxes]
    np.testing.assert_array_equal(deltas, jnp.stack(one_by_one))
    one_by_one = [decode(image, anchors, WEIGHTS) for image in deltas]
    np.testing.assert_allclose(decode(deltas, anchors, WEIGHTS), jnp.stack(one_by_one), atol=1e-5)
