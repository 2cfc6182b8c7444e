import dataclasses

import numpy as np
import pytest

from maskrcnn_jax.data.shapes.layout import Shape
from maskrcnn_jax.data.shapes.outlines import OUTLINES
from maskrcnn_jax.data.shapes.painting import paint

SIZE = 48
DISC = Shape(label=0, x=20.3, y=24.6, radius=12.4, angle=0.5)


def masks_of(*shapes):
    return paint(list(shapes), np.random.default_rng(0), image_size=SIZE)[1]


@pytest.mark.parametrize("label", range(len(OUTLINES)))
@pytest.mark.parametrize("angle", [0.0, 1.0, 4.0])
def test_a_mask_holds_the_pixels_whose_centres_are_inside(label, angle):
    shape = dataclasses.replace(DISC, label=label, angle=angle)
    (mask,) = masks_of(shape)
    for row in range(SIZE):
        for column in range(SIZE):
            offset = complex(column + 0.5 - shape.x, row + 0.5 - shape.y) / shape.radius
            turned = offset * np.exp(-1j * angle)
            x, y = np.full((1, 1), turned.real), np.full((1, 1), turned.imag)
            assert mask[row, column] == (OUTLINES[label](x, y) <= 0)


def test_a_shape_in_front_hides_what_is_behind():
    square = Shape(label=1, x=26.0, y=24.0, radius=10.0, angle=0.2)
    behind, front = masks_of(DISC, square)
    assert not (behind & front).any()
    np.testing.assert_array_equal(front, masks_of(square)[0])
    np.testing.assert_array_equal(behind | front, (masks_of(DISC) | masks_of(square))[0])


def test_a_shape_that_sticks_out_is_cut_off():
    shape = dataclasses.replace(DISC, x=1.0, y=SIZE - 2.0)
    (mask,) = masks_of(shape)
    (whole,) = paint([DISC], np.random.default_rng(0), image_size=SIZE)[1]
    assert 0.2 < mask.sum() / whole.sum() < 0.5
    assert mask[-1, 0]


def test_a_shape_changes_the_image_only_where_it_is():
    """Painted alone, on the same background, up to the noise and an antialiased pixel."""
    with_shape, (mask,) = paint([DISC], np.random.default_rng(4), image_size=SIZE)
    without, _ = paint([], np.random.default_rng(4), image_size=SIZE)
    difference = np.abs(with_shape.astype(int) - without).max(-1)
    grown = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2
    near = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        near[row - 2 : row + 3, column - 2 : column + 3] |= grown
    assert difference[~near].max() < 40  # noise has a standard deviation of 4 in both
    assert np.median(difference[mask]) > 40


def test_images_use_the_whole_range_of_colours():
    image, _ = paint([DISC], np.random.default_rng(1), image_size=SIZE)
    assert image.dtype == np.uint8
    assert image.shape == (SIZE, SIZE, 3)
    assert image.std() > 15
