"""The outlines of the shapes, as functions of the plane.

Each takes coordinates x, y in the shape's own frame and returns a distance: negative inside, zero
on the outline, growing outwards. It is a lower bound of the true distance, exact near the outline's
straight and round parts, which is all that painting needs. Every shape just fits the unit circle.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

Plane: TypeAlias = Float[np.ndarray, "h w"]


def disc(x: Plane, y: Plane) -> Plane:
    """The unit disc."""
    return np.hypot(x, y) - 1


def rectangle(x: Plane, y: Plane) -> Plane:
    """4 wide, 3 high."""
    return np.maximum(np.abs(x) - 0.8, np.abs(y) - 0.6)


def triangle(x: Plane, y: Plane) -> Plane:
    """Equilateral."""
    return np.maximum(np.abs(x) * np.sqrt(0.75) + y / 2, -y) - 0.5


def ring(x: Plane, y: Plane) -> Plane:
    """A disc with a round hole of half its radius."""
    return np.abs(np.hypot(x, y) - 0.75) - 0.25


def cross(x: Plane, y: Plane) -> Plane:
    """A plus sign with arms a third as wide as long."""
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 0.94, np.minimum(x, y) - 0.33)


def star(x: Plane, y: Plane) -> Plane:
    """Five points, with inner corners at 0.45 of the outer radius."""
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, y) + sector / 2) % sector - sector / 2)
    radius = np.hypot(x, y)
    # In the folded sector the outline is one line, from (0, 1) to the inner corner.
    inner_x, inner_y = 0.45 * np.sin(sector / 2), 0.45 * np.cos(sector / 2)
    normal = np.array([1 - inner_y, inner_x]) / np.hypot(1 - inner_y, inner_x)
    return radius * np.sin(angle) * normal[0] + (radius * np.cos(angle) - 1) * normal[1]


OUTLINES: tuple[Callable[[Plane, Plane], Plane], ...] = (
    disc,
    rectangle,
    triangle,
    star,
    ring,
    cross,
)
