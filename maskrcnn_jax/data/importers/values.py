"""Coordinates out of a user's file; what is no number is an ``InputError``."""

from typing import Any

from maskrcnn_jax.data.json_fields import field, shown
from maskrcnn_jax.errors import InputError

# In pixels: beyond any image, and exact in every type of number.
_FARTHEST = 2**24


def coordinate(value: Any, key: str, where: str) -> float:
    """A number of JSON, in pixels, radians or whatever the key says."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and abs(value) < _FARTHEST):
        raise InputError(
            f"{where}: {key!r} is {shown(value)}; it must be a number between -2^24 and 2^24."
        )
    return float(value)


def coordinate_of_text(text: str | None, key: str, where: str) -> float:
    """The same in XML."""
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = text
    return coordinate(value, key, where)


def point_list(record: dict, key: str, where: str) -> list[tuple[float, float]]:
    """Points [[x, y], ...] of JSON."""
    points = field(record, key, list, where)
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise InputError(f"{where}: {key!r} holds {shown(point)}, which is not a point [x, y].")
    return [(coordinate(x, key, where), coordinate(y, key, where)) for x, y in points]


def check_num_points(points: list[tuple[float, float]], where: str) -> list[float]:
    """A polygon as COCO has it. Raises ``InputError`` for fewer than three points."""
    if len(points) < 3:
        raise InputError(
            f"{where}: is a polygon of {len(points)} points, which encloses nothing; delete it, or "
            "draw at least three."
        )
    return [value for point in points for value in point]
