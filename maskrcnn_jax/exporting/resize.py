"""OpenCV's resizing of uint8 images in JAX, bit for bit: ``data.images.resize_image`` on a device.

OpenCV interpolates in integers, and takes means of areas in float32, pixel after pixel and along
the rows first. Here the same numbers are added in the same order (OpenCV, imgproc/resize.cpp).

Shapes: b images, h w old size, y x new size, n new side, t taps.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped, UInt8

from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.ops.rounding import rounded

_ONE = 2**11  # of the integer weights
_LEAST_SHARE = 1e-3  # A pixel that a mean covers less of is left out.


class Taps(NamedTuple):
    """Along one axis: the old pixels that each new one is made of, and their weights."""

    index: Int[np.ndarray, "n t"]
    weight: Shaped[np.ndarray, "n t"]


def resize_images(images: UInt8[Array, "b h w 3"], size: Size) -> UInt8[Array, "b y x 3"]:
    """Resizes to (height, width): bilinear to enlarge, the mean of the covered area to shrink."""
    old = images.shape[1:3]
    if size == old:
        return images
    if size[0] > old[0] or size[1] > old[1]:
        return _bilinear(images, size)
    scales = [_scale(*sides) for sides in zip(old, size, strict=True)]
    if all(abs(scale - round(scale)) < np.finfo(float).eps for scale in scales):
        return _mean_of_blocks(images, size)
    return _mean_of_areas(images, size)


def _bilinear(images: UInt8[Array, "b h w 3"], size: Size) -> UInt8[Array, "b y x 3"]:
    """In integers. The 19 bits of a row are cut to 15, those of the result to 10, then rounded."""
    y, x = (_bilinear_taps(*sides) for sides in zip(images.shape[1:3], size, strict=True))
    pixels = images.astype(jnp.int32)
    left, right = (pixels[:, :, x.index[:, t]] * x.weight[:, t, None] for t in (0, 1))
    rows = left + right >> 4
    above, below = (rows[:, y.index[:, t]] * y.weight[:, t, None, None] >> 16 for t in (0, 1))
    return (above + below + 2 >> 2).astype(jnp.uint8)


def _mean_of_areas(images: UInt8[Array, "b h w 3"], size: Size) -> UInt8[Array, "b y x 3"]:
    y, x = (_area_taps(*sides) for sides in zip(images.shape[1:3], size, strict=True))
    pixels = images.astype(jnp.float32)
    rows = jnp.zeros(())
    for t in range(x.index.shape[1]):
        rows += rounded(pixels[:, :, x.index[:, t]] * x.weight[:, t, None])
    means = jnp.zeros(())
    for t in range(y.index.shape[1]):
        means += rounded(rows[:, y.index[:, t]] * y.weight[:, t, None, None])
    return _to_uint8(means)


def _mean_of_blocks(images: UInt8[Array, "b h w 3"], size: Size) -> UInt8[Array, "b y x 3"]:
    """Where whole pixels become one."""
    (b, height, width, _), (y, x) = images.shape, size
    sums = images.reshape(b, y, height // y, x, width // x, 3).astype(jnp.int32).sum((2, 4))
    if (height // y, width // x) == (2, 2):
        return (sums + 2 >> 2).astype(jnp.uint8)
    count = np.float32(height * width // (y * x))
    return _to_uint8(sums.astype(jnp.float32) * (np.float32(1) / count))


def _to_uint8(values: Array) -> Array:
    """To the nearest, halves to even."""
    return jnp.clip(jnp.round(values), 0, 255).astype(jnp.uint8)


def _scale(old: int, new: int) -> float:
    return 1 / (new / old)  # which is not always old / new


def _bilinear_taps(old: int, new: int) -> Taps:
    position = ((np.arange(new) + 0.5) * _scale(old, new) - 0.5).astype(np.float32)
    first = np.floor(position)
    above = position - first
    weight = np.round(np.stack([1 - above, above], axis=1) * _ONE).astype(np.int32)
    index = first.astype(np.int32)[:, None] + [0, 1]
    return Taps(index=np.clip(index, 0, old - 1), weight=weight)


def _area_taps(old: int, new: int) -> Taps:
    """Weights in float32; 0 for taps that a new pixel has too many of."""
    scale = _scale(old, new)
    low = np.arange(new) * scale
    high, length = low + scale, np.minimum(scale, old - low)
    last = np.minimum(np.floor(high), old - 1)
    first = np.minimum(np.ceil(low), last)
    before = _if_enough(first - low)
    after = np.minimum(_if_enough(high - last), np.minimum(1, length))
    index = first[:, None] + np.arange(-1, (last - first).max() + 1)
    share = np.select(
        [index < first[:, None], index < last[:, None], index == last[:, None]],
        [before[:, None], 1.0, after[:, None]],
        0.0,
    )
    weight = (share / length[:, None]).astype(np.float32)
    return Taps(index=np.clip(index, 0, old - 1).astype(np.int32), weight=weight)


def _if_enough(share: np.ndarray) -> np.ndarray:
    return np.where(share > _LEAST_SHARE, share, 0)
