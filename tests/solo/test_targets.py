import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.solo.grids import GRIDS as STANDARD
from maskrcnn_jax.solo.targets import cell_targets, max_positives, rasterised
from maskrcnn_jax.structures import GroundTruth
from tests import tiny
from tests.solo.models import GRIDS

SIZE = (tiny.HEIGHT, tiny.WIDTH)
assign = jax.jit(functools.partial(cell_targets, image_size=SIZE, grids=GRIDS))
assign_standard = jax.jit(functools.partial(cell_targets, image_size=(800, 1344), grids=STANDARD))


def with_whole_image_masks(truth):
    """Each bitmap is as large as the image, and covers it."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    masks = []
    for x1, y1, x2, y2 in np.asarray(truth.boxes):
        u, v = 2 * (x - x1) / max(x2 - x1, 1) - 1, 2 * (y - y1) / max(y2 - y1, 1) - 1
        masks.append((u**2 + v**2 < 1) & (u < 0.3))  # its centre is not the box's
    frames = np.tile(np.float32([0, 0, SIZE[1], SIZE[0]]), (len(masks), 1))
    return dataclasses.replace(truth, masks=jnp.asarray(masks), mask_frames=jnp.asarray(frames))


def slow_owners(truth):
    """The last object that each cell belongs to, or -1: one object and one cell at a time."""
    owners = []
    for grid in GRIDS:
        owner = np.full((grid.side, grid.side), -1)
        for index in np.flatnonzero(truth.valid):
            x1, y1, x2, y2 = np.float64(truth.boxes[index])
            rows, columns = np.nonzero(np.asarray(truth.masks[index]))
            length = np.sqrt((x2 - x1) * (y2 - y1))
            if not (grid.sizes[0] <= length <= grid.sizes[1]) or not len(rows):
                continue
            ranges = []
            for places, side, total in ((rows, y2 - y1, SIZE[0]), (columns, x2 - x1, SIZE[1])):
                centre, reach = places.mean(), side * 0.2 / 2
                first, middle, last = (
                    int(np.floor(place / total * grid.side))
                    for place in (centre - reach, centre, centre + reach)
                )
                ranges.append((max(first, middle - 1, 0), min(last, middle + 1, grid.side - 1)))
            (top, bottom), (left, right) = ranges
            owner[top : bottom + 1, left : right + 1] = index
        owners.append(owner.ravel())
    return np.concatenate(owners)


@pytest.mark.parametrize("seed", range(10))
def test_cells_are_those_of_the_slow_loop(seed):
    truth = tiny.random_truth(np.random.default_rng(seed), 4)
    truth = with_whole_image_masks(truth)
    found = assign(truth)
    expected = slow_owners(truth)
    assert (expected >= 0).any()
    np.testing.assert_array_equal(np.where(found.positive, found.matched, -1), expected)


def test_slots_without_an_object_change_nothing():
    truth = tiny.random_truth(np.random.default_rng(1), 3)
    found = assign(truth)
    assert found.positive.any()
    for seed in range(3):
        spoilt = assign(tiny.with_garbage(truth, seed=seed))
        np.testing.assert_array_equal(spoilt.matched, found.matched)
        np.testing.assert_array_equal(spoilt.positive, found.positive)


def test_an_object_without_a_pixel_has_no_cell():
    truth = tiny.random_truth(np.random.default_rng(2), 3)
    empty = dataclasses.replace(truth, masks=jnp.zeros_like(truth.masks))
    assert not assign(empty).positive.any()


def test_an_object_thinner_than_a_pixel_has_a_cell_at_the_border():
    box = jnp.asarray([[0, 20, 0.4, 60]], jnp.float32)
    truth = tiny.random_truth(np.random.default_rng(3), 1, num_slots=1)
    thin = dataclasses.replace(truth, boxes=box, mask_frames=box, masks=jnp.ones_like(truth.masks))
    assert assign(thin).positive.any()


def test_an_image_without_objects_has_no_positive_cell():
    assert not assign(tiny.random_truth(np.random.default_rng(0), 0)).positive.any()
    nothing = tiny.random_truth(np.random.default_rng(0), 0, num_slots=0)
    assert not assign(nothing).positive.any()


@pytest.mark.parametrize("size", [*range(1, 120, 7), 48, 96])
def test_there_are_never_more_positive_cells_than_the_bound(size):
    """Nine in each of three grids: both bounds of a grid's sizes belong to it."""
    box = np.float32([[700, 400, 700 + size, 400 + size]])
    truth = GroundTruth(
        boxes=jnp.asarray(box),
        labels=jnp.zeros(1, jnp.int32),
        masks=jnp.ones((1, 4, 4), bool),
        mask_frames=jnp.asarray(box),
        valid=jnp.ones(1, bool),
    )
    found = assign_standard(truth)
    assert 1 <= found.positive.sum() <= max_positives(1, grids=STANDARD) == 27


def test_cells_bound_the_bound():
    assert max_positives(10**6, grids=STANDARD) == 40**2 + 36**2 + 24**2 + 16**2 + 12**2


def test_a_mask_of_the_whole_image_is_averaged_around_the_middle_of_each_cell():
    """As by OpenCV's bilinear quarter, which MMDetection trains with."""
    masks = np.random.default_rng(0).random((2, 16, 24)) < 0.5
    truth = GroundTruth(
        boxes=jnp.zeros((2, 4)),
        labels=jnp.zeros(2, jnp.int32),
        masks=jnp.asarray(masks),
        mask_frames=jnp.tile(jnp.array([0.0, 0.0, 24.0, 16.0]), (2, 1)),
        valid=jnp.array([True, False]),
    )
    found = rasterised(truth, size=(4, 6))
    middle = masks.reshape(2, 4, 4, 6, 4)[:, :, 1:3, :, 1:3].mean((2, 4)) >= 0.5
    np.testing.assert_array_equal(found, middle & np.array([True, False])[:, None, None])
