import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskrcnn_jax.data.bitmaps import cell_areas, covered_shares, draw_mask, tight_boxes

HEIGHT, WIDTH = 24, 40
BITMAPS = arrays(bool, (7, 7))


def _spans(limit):
    """From low to high, also beyond the image."""
    return st.tuples(st.floats(-10, limit), st.floats(0.5, 60)).map(lambda p: (p[0], sum(p)))


FRAMES = st.tuples(_spans(WIDTH), _spans(HEIGHT)).map(
    lambda spans: np.array([spans[0][0], spans[1][0], spans[0][1], spans[1][1]])
)


def bilinear(bitmap, x, y):
    """Value at a point in cells, the outermost centres continued."""
    size = len(bitmap)
    x, y = (min(max(place - 0.5, 0), size - 1) for place in (x, y))
    left, top = min(int(x), size - 2), min(int(y), size - 2)
    a, b = x - left, y - top
    above = (1 - a) * bitmap[top, left] + a * bitmap[top, left + 1]
    below = (1 - a) * bitmap[top + 1, left] + a * bitmap[top + 1, left + 1]
    return (1 - b) * above + b * below


@settings(max_examples=50)
@given(BITMAPS, FRAMES)
def test_a_pixel_is_drawn_where_the_bitmap_is_at_least_one_half(bitmap, frame):
    left, top, right, bottom = frame
    drawn = draw_mask(bitmap, frame, size=(HEIGHT, WIDTH))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            x, y = column + 0.5, row + 0.5
            if left <= x < right and top <= y < bottom:
                place = (x - left) / (right - left) * 7, (y - top) / (bottom - top) * 7
                value = bilinear(bitmap, *place)
                if abs(value - 0.5) > 1e-3:
                    assert drawn[row, column] == (value > 0.5)
            else:
                assert not drawn[row, column]


def test_a_bitmap_of_the_images_size_is_drawn_as_it_is():
    bitmap = np.random.default_rng(0).random((30, 30)) < 0.5
    frame = np.array([0.0, 0, 30, 30])
    np.testing.assert_array_equal(draw_mask(bitmap, frame, size=(30, 30)), bitmap)


@settings(max_examples=50)
@given(arrays(bool, (6, 8)), st.lists(FRAMES, min_size=1, max_size=3).map(np.stack))
def test_shares_are_areas_under_the_pixels(pixels, frames):
    """By the overlap of every cell with every pixel."""
    shares = covered_shares(pixels, frames, mask_size=3)
    for share, (left, top, right, bottom) in zip(shares, frames, strict=True):
        x, y = np.linspace(left, right, 4), np.linspace(top, bottom, 4)
        for i in range(3):
            for j in range(3):
                area = sum(
                    max(min(y[i + 1], row + 1) - max(y[i], row), 0)
                    * max(min(x[j + 1], column + 1) - max(x[j], column), 0)
                    for row, column in np.argwhere(pixels)
                )
                expected = area / ((x[j + 1] - x[j]) * (y[i + 1] - y[i]))
                assert share[i, j] == pytest.approx(expected, abs=1e-9)


def test_a_frame_without_area_is_not_covered():
    frames = np.array([[3.0, 3, 3, 8]])
    assert not covered_shares(np.ones((9, 9), bool), frames, mask_size=4).any()
    np.testing.assert_array_equal(cell_areas(frames, mask_size=4), [0])
    assert covered_shares(np.ones((9, 9), bool), np.zeros((0, 4)), mask_size=4).shape == (0, 4, 4)


@given(st.lists(BITMAPS, min_size=1, max_size=3).map(np.stack), FRAMES)
def test_a_tight_box_holds_all_cells_and_its_sides_touch_one(masks, frame):
    boxes = tight_boxes(masks, np.tile(frame, (len(masks), 1)))
    cell = (frame[2:] - frame[:2]) / 7
    for mask, box in zip(masks, boxes, strict=True):
        if not mask.any():
            continue
        cells = np.argwhere(mask)[:, ::-1]  # (x, y)
        expected_low, expected_high = cells.min(0).astype(float), cells.max(0) + 1.0
        expected_low[expected_low <= 1] = 0  # an outline's tip may be thinner than a cell
        expected_high[expected_high >= 6] = 7
        np.testing.assert_allclose(box[:2], frame[:2] + expected_low * cell, atol=1e-9)
        np.testing.assert_allclose(box[2:], frame[:2] + expected_high * cell, atol=1e-9)


def test_the_box_of_a_mask_that_reaches_its_frame_is_the_frame_to_the_last_bit():
    frames = np.random.default_rng(0).uniform(0, 100, (50, 4))
    frames[:, 2:] += frames[:, :2]
    np.testing.assert_array_equal(tight_boxes(np.ones((50, 28, 28), bool), frames), frames)
