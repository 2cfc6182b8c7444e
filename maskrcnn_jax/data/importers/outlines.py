"""Outlines of what tools can draw, as COCO polygons [x, y, x, y, ...].

Angles turn clockwise as one sees the image, whose y points down.
"""

import math

import numpy as np
from jaxtyping import Float

# Pixels by which a polygon may cut off a bow between two of its points.
_TOLERANCE = 0.1
_FEWEST, _MOST = 12, 720  # points of an ellipse


def rectangle(
    left: float, top: float, right: float, bottom: float, *, degrees: float = 0.0
) -> list[float]:
    """A rectangle, turned around its centre."""
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    centre = corners.mean(0)
    return _turned(corners - centre, centre, math.radians(degrees))


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, *, degrees: float = 0.0
) -> list[float]:
    """An ellipse around (x, y), turned around that; a circle where the radii are the same."""
    radius = max(abs(radius_x), abs(radius_y), _TOLERANCE)
    num_points = math.ceil(math.pi / math.acos(1 - _TOLERANCE / radius))
    angles = np.linspace(0, 2 * np.pi, min(max(num_points, _FEWEST), _MOST), endpoint=False)
    points = np.stack([radius_x * np.cos(angles), radius_y * np.sin(angles)], axis=1)
    return _turned(points, np.array([x, y]), math.radians(degrees))


def _turned(
    points: Float[np.ndarray, "n 2"], centre: Float[np.ndarray, "2"], radians: float
) -> list[float]:
    if radians:
        cos, sin = math.cos(radians), math.sin(radians)
        points = points @ np.array([[cos, sin], [-sin, cos]])
    return (points + centre).ravel().tolist()
