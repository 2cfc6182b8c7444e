import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets, point_targets
from maskrcnn_jax.structures import GroundTruth, Samples
from tests import tiny

SIDE = 14
HEIGHT, WIDTH = 48, 64  # of the image, for full-image frames

jit_targets = jax.jit(partial(mask_targets, config=MaskTargetConfig()), static_argnames="side")


def truth_of(masks, frames):
    """Objects whose boxes play no part here."""
    masks, frames = jnp.asarray(np.stack(masks)), jnp.asarray(np.array(frames), jnp.float32)
    num_objects = len(masks)
    return GroundTruth(
        boxes=frames,
        labels=jnp.zeros(num_objects, jnp.int32),
        masks=masks,
        mask_frames=frames,
        valid=jnp.ones(num_objects, bool),
    )


def positives_of(boxes, matched, valid=None):
    boxes = jnp.asarray(np.array(boxes), jnp.float32)
    return Samples(
        boxes=boxes,
        labels=jnp.zeros(len(boxes), jnp.int32),
        matched=jnp.asarray(matched, jnp.int32),
        valid=jnp.ones(len(boxes), bool) if valid is None else jnp.asarray(valid),
    )


def grid(height, width, frame):
    """x and y at the centres of a bitmap's cells."""
    x1, y1, x2, y2 = frame
    x = x1 + (np.arange(width) + 0.5) * (x2 - x1) / width
    y = y1 + (np.arange(height) + 0.5) * (y2 - y1) / height
    return np.meshgrid(x, y)


def ellipse(height, width, frame, *, box):
    x, y = grid(height, width, frame)
    x1, y1, x2, y2 = box
    return ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1


def slow_target(mask, frame, box, side):
    """Means of ceil(cell) bilinear samples per axis and cell, cut at one half."""
    height, width = mask.shape
    scale = np.array([width / (frame[2] - frame[0]), height / (frame[3] - frame[1])])
    low, high = (box[:2] - frame[:2]) * scale - 0.5, (box[2:] - frame[:2]) * scale - 0.5
    cell = (high - low) / side
    num_x, num_y = (math.ceil(c) for c in cell)
    target = np.zeros((side, side), bool)
    for row, column in np.ndindex(side, side):
        samples = [
            slow_sample(
                mask,
                low[1] + (row + (i + 0.5) / num_y) * cell[1],
                low[0] + (column + (j + 0.5) / num_x) * cell[0],
            )
            for i in range(num_y)
            for j in range(num_x)
        ]
        target[row, column] = np.mean(samples) >= 0.5
    return target


def slow_sample(mask, y, x):
    height, width = mask.shape
    if y < -1 or x < -1 or y > height or x > width:
        return 0.0
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = mask[top, left] * (left + 1 - x) + mask[top, right] * (x - left)
    lower = mask[bottom, left] * (left + 1 - x) + mask[bottom, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


def random_truth_and_positives(seed, *, mask_size=(20, 24), num_objects=3, count=6):
    """Blobs in their own frames, and boxes that overlap them more or less."""
    rng = np.random.default_rng(seed)
    noise = rng.random((num_objects, *mask_size))
    smooth = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2) + np.roll(noise, 2, 1)) / 4
    frames = tiny.random_boxes(rng, num_objects)
    matched = rng.integers(0, num_objects, count)
    size = np.tile(frames[matched, 2:] - frames[matched, :2], 2)
    boxes = frames[matched] + rng.uniform(-0.2, 0.2, (count, 4)) * size
    return truth_of(smooth > 0.5, frames), positives_of(boxes, matched)


@pytest.mark.parametrize("side", [5, 14])
@pytest.mark.parametrize("seed", range(2))
def test_targets_equal_the_slow_loop(seed, side):
    truth, positives = random_truth_and_positives(seed)
    found = jit_targets(truth, positives, side=side)
    for i, (box, j) in enumerate(zip(positives.boxes, positives.matched, strict=True)):
        mask, frame = np.asarray(truth.masks[j]), np.asarray(truth.mask_frames[j])
        expected = slow_target(mask, frame, np.asarray(box), side)
        assert 0.1 < expected.mean() < 0.9
        assert (np.asarray(found[i]) != expected).mean() < 0.01  # averages of one half itself


@pytest.mark.parametrize("shape", ["rectangle", "ellipse"])
def test_box_frames_and_full_image_frames_agree(shape):
    """The same object, as a bitmap of its box or of the whole image: the same at 14x14."""
    box, image = (8.0, 4.0, 48.0, 44.0), (0, 0, WIDTH, HEIGHT)
    draw = partial(ellipse, box=box) if shape == "ellipse" else partial(rectangle, box=box)
    in_box = truth_of([draw(112, 112, box)], [box])
    in_image = truth_of([draw(HEIGHT * 4, WIDTH * 4, image)], [image])
    rois = [box, (12, 0, 52, 40), (8, 10, 40, 48), (0, 0, 60, 48), (20.5, 15.2, 30.1, 28.9)]
    positives = positives_of(rois, [0] * len(rois))
    found = [jit_targets(truth, positives, side=SIDE) for truth in (in_box, in_image)]
    assert 0.2 < np.mean(found[0]) < 0.9
    differs = np.mean(np.asarray(found[0]) != np.asarray(found[1]), axis=(1, 2))
    assert (differs <= 2 / SIDE**2).all()  # cells that the outline cuts into halves


def rectangle(height, width, frame, *, box):
    x, y = grid(height, width, frame)
    return (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])


def test_a_mask_is_empty_outside_its_frame():
    truth = truth_of([np.ones((28, 28), bool)], [(20, 10, 40, 30)])
    rois = [(20, 10, 40, 30), (10, 10, 50, 30), (20, 0, 40, 40), (30, 20, 50, 40)]
    found = np.asarray(jit_targets(truth, positives_of(rois, [0] * 4), side=4))
    half = np.array([0, 1, 1, 0], bool)
    assert found[0].all()
    np.testing.assert_array_equal(found[1], np.tile(half, (4, 1)))
    np.testing.assert_array_equal(found[2], np.tile(half[:, None], (1, 4)))
    expected = np.zeros((4, 4), bool)
    expected[:2, :2] = True
    np.testing.assert_array_equal(found[3], expected)


def test_mirrored_masks_give_mirrored_targets():
    truth, positives = random_truth_and_positives(5, mask_size=(21, 21))
    mirror = np.array([-1, 1, -1, 1], np.float32)

    def mirrored(boxes):
        return (boxes * mirror)[:, np.array([2, 1, 0, 3])]

    truth2 = dataclasses.replace(
        truth, masks=truth.masks[..., ::-1], mask_frames=mirrored(truth.mask_frames)
    )
    positives2 = dataclasses.replace(positives, boxes=mirrored(positives.boxes))
    a, b = (jit_targets(*x, side=SIDE) for x in ((truth, positives), (truth2, positives2)))
    assert (np.asarray(a) != np.asarray(b)[..., ::-1]).mean() < 0.005


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_invalid_samples_are_empty_and_change_nothing(garbage):
    truth, positives = random_truth_and_positives(6)
    clean = jit_targets(truth, positives, side=SIDE)
    valid = jnp.asarray([True, False, True, False, True, True])
    spoilt = positives_of(
        jnp.where(valid[:, None], positives.boxes, garbage),
        jnp.where(valid, positives.matched, 2),
        valid,
    )
    matched = np.asarray(positives.matched)[np.asarray(valid)]
    if 2 not in matched:  # nobody's object: its frame may be anything too
        frames = truth.mask_frames.at[2].set(garbage)
        truth = dataclasses.replace(truth, mask_frames=frames)
    found = jit_targets(truth, spoilt, side=SIDE)
    np.testing.assert_array_equal(found[valid], clean[valid])
    assert not np.asarray(found)[~valid].any()


def test_soft_targets_are_the_averages_that_are_cut_otherwise():
    rng = np.random.default_rng(3)
    frame = [0, 0, WIDTH, HEIGHT]
    truth = truth_of([rng.random((HEIGHT, WIDTH)) < 0.5], [frame])
    positives = positives_of([[4, 3, 61, 40], [0, 0, 9, 9]], [0, 0], valid=[True, False])
    soft, cut = (
        np.asarray(mask_targets(truth, positives, side=SIDE, config=MaskTargetConfig(soft=soft)))
        for soft in (True, False)
    )
    assert ((soft > 0) & (soft < 1)).any()
    np.testing.assert_array_equal(cut, soft >= 0.5)
    assert not soft[1].any()


def test_without_the_half_pixel_a_target_is_the_bitmap_shifted_by_half_a_pixel():
    mask = np.random.default_rng(4).random((HEIGHT, WIDTH)) < 0.5
    truth = truth_of([mask], [[0, 0, WIDTH, HEIGHT]])
    config = MaskTargetConfig(soft=True, half_pixel=False)
    # Cells of one pixel, each seen at its centre: with the shift that is the pixel itself.
    shifted = mask_targets(
        truth, positives_of([[9.5, 5.5, 23.5, 19.5]], [0]), side=14, config=config
    )
    np.testing.assert_allclose(shifted[0], mask[6:20, 10:24], atol=1e-6)


jit_point_targets = jax.jit(point_targets)


def slow_point(mask, frame, place):
    """Pixel by pixel; zeros around the bitmap."""
    height, width = mask.shape
    scale = np.array([width / (frame[2] - frame[0]), height / (frame[3] - frame[1])])
    x, y = (place - frame[:2]) * scale - 0.5
    return sum(
        mask[row, column] * max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
        for row, column in np.ndindex(height, width)
    )


def test_targets_of_points_equal_the_slow_loop():
    rng = np.random.default_rng(11)
    frames = np.array([[10.0, 5, 30, 33], [20, 12, 55, 20]])
    masks = rng.random((2, 8, 8)) < 0.5
    boxes = np.array([[8.0, 7, 28, 40], [20, 12, 55, 20], [0, 0, 64, 48]])
    matched = np.array([0, 1, 1])
    points = rng.random((3, 20, 2)).astype(np.float32)
    found = jit_point_targets(
        truth_of(masks, frames), positives_of(boxes, matched), jnp.asarray(points)
    )
    for i, j in np.ndindex(3, 20):
        place = boxes[i, :2] + points[i, j] * (boxes[i, 2:] - boxes[i, :2])
        expected = slow_point(masks[matched[i]], frames[matched[i]], place)
        np.testing.assert_allclose(found[i, j], expected, atol=2e-5)


def test_targets_of_points_in_a_mask_of_the_whole_image_are_its_pixels():
    """In a frame equal to the image: bilinear samples in pixels, as the other systems take them."""
    mask = np.random.default_rng(12).random((HEIGHT, WIDTH)) < 0.5
    frame = [0, 0, WIDTH, HEIGHT]
    centres = (np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1).T[:, ::-1] + 0.5) / [WIDTH, HEIGHT]
    found = point_targets(
        truth_of([mask], [frame]), positives_of([frame], [0]), jnp.asarray(centres[None])
    )
    np.testing.assert_allclose(found[0].reshape(HEIGHT, WIDTH), mask, atol=1e-5)


def test_points_of_invalid_samples_and_of_empty_frames_are_empty():
    frames = [[5.0, 5, 5, 9], [np.nan] * 4]
    found = jit_point_targets(
        truth_of(np.ones((2, 8, 8), bool), frames),
        positives_of([[0, 0, 9, 9], [np.nan] * 4, [0, 0, 9, 9]], [0, 1, 0], [True, False, False]),
        jnp.full((3, 20, 2), 0.5),
    )
    assert not found.any()
