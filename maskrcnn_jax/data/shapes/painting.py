"""Paints a layout: an RGB image, and of each shape the pixels that are not hidden."""

import math

import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrcnn_jax.data.shapes.layout import Shape
from maskrcnn_jax.data.shapes.outlines import OUTLINES, Plane

_NOISE = 4.0  # standard deviation, in grey levels
_RIM = 1.5  # pixels over which a shape darkens towards its outline


def paint(
    shapes: list[Shape], rng: np.random.Generator, *, image_size: int
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "n h w"]]:
    """Paints back to front. A pixel belongs to the frontmost shape that holds its centre."""
    y, x = np.mgrid[:image_size, :image_size] + 0.5
    image = _background(x, y, rng)
    masks = np.zeros((len(shapes), image_size, image_size), bool)
    for i, shape in enumerate(shapes):
        window = _window(shape)
        local_x, local_y = _to_frame(x[window], y[window], shape)
        distance = OUTLINES[shape.label](local_x / shape.radius, local_y / shape.radius)
        distance *= shape.radius
        opacity = np.clip(0.5 - distance, 0, 1)[..., None]  # antialiased
        surface = _surface(local_x, local_y, rng) * _light(local_x, local_y, distance, shape)
        image[window] += opacity * (surface - image[window])
        masks[:i, *window] &= distance > 0
        masks[i, *window] = distance <= 0
    image += rng.normal(0, _NOISE, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), masks


def _window(shape: Shape) -> tuple[slice, slice]:
    """Rows and columns of the image that hold all of a shape, and an antialiased pixel more."""
    reach = shape.radius + 1
    rows, columns = (
        slice(max(0, math.floor(centre - reach)), math.ceil(centre + reach))
        for centre in (shape.y, shape.x)
    )
    return rows, columns


def _to_frame(x: Plane, y: Plane, shape: Shape) -> tuple[Plane, Plane]:
    """Pixels of the image to pixels around the shape's centre, turned with it."""
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    x, y = x - shape.x, y - shape.y
    return cos * x + sin * y, cos * y - sin * x


def _background(x: Plane, y: Plane, rng: np.random.Generator) -> Float[np.ndarray, "h w 3"]:
    """Two dull colours, mixed by a random pattern of waves."""
    dark, bright = (_colour(rng, saturation=(0, 0.35), value=(0.15, 0.85)) for _ in range(2))
    mix = _waves(x, y, rng, wavelengths=(6.0, float(len(x))))[..., None]
    return dark + mix * (bright - dark)


def _surface(x: Plane, y: Plane, rng: np.random.Generator) -> Float[np.ndarray, "h w 3"]:
    """A vivid colour, with a pattern in a second one: none, stripes, checks or waves."""
    colour, other = (_colour(rng, saturation=(0.6, 1), value=(0.45, 1)) for _ in range(2))
    period, depth = rng.uniform(4, 12), rng.uniform(0.3, 0.7)
    along, across = np.sin(2 * np.pi * x / period), np.sin(2 * np.pi * y / period)
    patterns = (
        lambda: np.zeros_like(x),
        lambda: along > 0,
        lambda: along * across > 0,
        lambda: _waves(x, y, rng, wavelengths=(period, 3 * period)),
    )
    pattern = patterns[rng.integers(len(patterns))]()[..., None]
    return colour + depth * pattern * (other - colour)


def _light(x: Plane, y: Plane, distance: Plane, shape: Shape) -> Float[np.ndarray, "h w 1"]:
    """Light from one side of the shape, and a dark rim."""
    gradient = 1 + 0.25 * (x + y) / shape.radius
    rim = 1 - 0.5 * np.exp(np.minimum(distance, 0) / _RIM)
    return (gradient * rim)[..., None]


def _waves(
    x: Plane, y: Plane, rng: np.random.Generator, *, wavelengths: tuple[float, float]
) -> Plane:
    """Four plane waves of random direction and length, scaled to [0, 1]."""
    total = np.zeros_like(x)
    for _ in range(4):
        frequency = 2 * np.pi / np.exp(rng.uniform(*np.log(wavelengths)))
        angle, phase = rng.uniform(0, 2 * np.pi, size=2)
        total += np.cos(frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    return (total - total.min()) / (total.max() - total.min())


def _colour(
    rng: np.random.Generator, *, saturation: tuple[float, float], value: tuple[float, float]
) -> Float[np.ndarray, "3"]:
    """A colour of any hue, in [0, 255]. https://en.wikipedia.org/wiki/HSL_and_HSV (HSV to RGB)."""
    distance = np.abs((6 * rng.uniform() + np.array([0, 4, 2])) % 6 - 3)
    pure = np.clip(distance - 1, 0, 1)
    return 255 * rng.uniform(*value) * (1 - rng.uniform(*saturation) * (1 - pure))
