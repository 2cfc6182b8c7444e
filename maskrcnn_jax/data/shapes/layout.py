"""Which shapes an image shows, and where. All of it is drawn from one random generator."""

from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.data.shapes.outlines import OUTLINES

MAX_SHAPES = 8
# Least and greatest circumradius, as a share of the image's side.
_RADII = (1 / 10, 1 / 2)
# Shapes stand more or less upright, as most things do.
_MAX_TILT = np.pi / 8
# No shape may lose more than this share of its surrounding square to those in front of it.
_MAX_HIDDEN = 0.4
_TRIALS = 20


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Lengths are in pixels, the angle in radians."""

    label: int  # index into OUTLINES
    x: float
    y: float
    radius: float
    angle: float


def draw_layout(rng: np.random.Generator, *, image_size: int) -> list[Shape]:
    """Draws 1 to ``MAX_SHAPES`` shapes, back to front.

    A new shape goes in front of the others, or behind them where it would hide too much. Where that
    does not help it is drawn anew, and given up after some trials. So what can be seen of every
    shape is enough to be found.
    """
    shapes: list[Shape] = []
    for _ in range(rng.integers(1, MAX_SHAPES, endpoint=True)):
        for _ in range(_TRIALS):
            shape = _draw_shape(rng, image_size)
            orders = ([*shapes, shape], [shape, *shapes])
            fitting = next(filter(_leave_enough, orders), None)
            if fitting is not None:
                shapes = fitting
                break
    return shapes


def _draw_shape(rng: np.random.Generator, image_size: int) -> Shape:
    radius = image_size * np.exp(rng.uniform(*np.log(_RADII)))  # as many twice as large
    margin = radius / 2  # a shape may stick out by a quarter of its width
    x, y = rng.uniform(margin, image_size - margin, size=2)
    return Shape(
        label=int(rng.integers(len(OUTLINES))),
        x=float(x),
        y=float(y),
        radius=float(radius),
        angle=float(rng.uniform(-_MAX_TILT, _MAX_TILT)),
    )


def _leave_enough(shapes: list[Shape]) -> bool:
    """Whether enough of each shape is not hidden by those in front of it."""
    x, y, radius = np.array([(shape.x, shape.y, shape.radius) for shape in shapes]).T
    low_x, low_y, high_x, high_y = x - radius, y - radius, x + radius, y + radius

    def shared(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        overlap = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        return np.maximum(overlap, 0)

    hidden = np.triu(shared(low_x, high_x) * shared(low_y, high_y), k=1)  # [behind, in front]
    return bool((hidden.sum(1) <= _MAX_HIDDEN * 4 * radius**2).all())
