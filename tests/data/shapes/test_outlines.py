import numpy as np
import pytest

from maskrcnn_jax.data.shapes.outlines import OUTLINES

Y, X = np.mgrid[-2:2:401j, -2:2:401j]
STEP = 0.01
# Of the unit circle's area, pi.
AREAS = {
    "disc": np.pi,
    "rectangle": 1.6 * 1.2,
    "triangle": 0.75 * np.sqrt(3),
    "star": 5 * 0.45 * np.sin(np.pi / 5),
    "ring": np.pi * (1 - 0.5**2),
    "cross": 2 * 0.66 * 1.88 - 0.66**2,
}


@pytest.mark.parametrize("outline", OUTLINES, ids=lambda outline: outline.__name__)
class TestOutline:
    def test_it_just_fits_the_unit_circle(self, outline):
        inside = outline(X, Y) <= 0
        reach = np.hypot(X, Y)[inside].max()
        assert 0.97 < reach <= 1 + 1e-9

    def test_it_has_its_area(self, outline):
        area = np.sum(outline(X, Y) <= 0) * STEP**2
        assert area == pytest.approx(AREAS[outline.__name__], rel=0.02)

    def test_it_grows_no_faster_than_the_distance_between_two_points(self, outline):
        rng = np.random.default_rng(0)
        x, y = rng.uniform(-2, 2, (2, 1, 20_000))
        step_x, step_y = rng.normal(0, 0.2, x.shape), rng.normal(0, 0.2, y.shape)
        change = np.abs(outline(x + step_x, y + step_y) - outline(x, y))
        assert (change <= np.hypot(step_x, step_y) + 1e-9).all()


def test_only_the_ring_has_a_hole():
    centre = np.zeros((1, 1))
    assert [outline.__name__ for outline in OUTLINES if outline(centre, centre) > 0] == ["ring"]
