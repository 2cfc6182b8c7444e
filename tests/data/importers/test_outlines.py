import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.importers.outlines import ellipse, rectangle


def points(polygon):
    return np.reshape(polygon, (-1, 2))


def area(polygon):
    x, y = points(polygon).T
    return (x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


def test_a_rectangle_is_its_corners():
    assert rectangle(1, 2, 5, 4) == [1, 2, 5, 2, 5, 4, 1, 4]


def test_turned_by_a_right_angle_a_rectangle_lies_on_its_side():
    """Clockwise: what was at the top left is at the top right."""
    turned = points(rectangle(1, 2, 5, 4, degrees=90))
    np.testing.assert_allclose(turned, [(4, 1), (4, 5), (2, 5), (2, 1)], atol=1e-12)


sizes = st.floats(0.5, 500)


@given(sizes, sizes, st.floats(-400, 400))
def test_an_ellipse_is_as_large_as_it_should_be_wherever_it_is_turned(a, b, degrees):
    found = points(ellipse(10, 20, a, b, degrees=degrees))
    np.testing.assert_allclose(found.mean(0), (10, 20), atol=1e-6)
    assert area(found) == pytest.approx(np.pi * a * b, rel=0.05)
    # In its own frame every point is on it.
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    own = (found - (10, 20)) @ np.array([[cos, -sin], [sin, cos]])
    np.testing.assert_allclose((own / (a, b)) ** 2 @ (1, 1), 1, rtol=1e-6)


@given(st.floats(1, 2**23))
def test_a_circle_is_never_far_from_its_polygon(radius):
    num_points = len(points(ellipse(0, 0, radius, radius)))
    assert num_points <= 720
    if num_points < 720:
        assert radius * (1 - np.cos(np.pi / num_points)) <= 0.1


def test_no_radius_is_a_point():
    assert area(ellipse(3, 4, 0, 0)) == 0
