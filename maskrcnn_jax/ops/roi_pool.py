"""RoIPool (Fast R-CNN, section 2.1): the largest value of each cell of a box, in whole pixels.

A box is rounded to pixels, and its cells to ranges of rows and columns, which may share a pixel
with their neighbours. Maps are stored as in ``ops.roi_align``. The loop goes through the pixels of
all cells at once, row by row, and ends with the largest cell.

Shapes: n RoIs, o cells per side, l pixels of all maps together, c channels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from maskrcnn_jax.ops.sampling_grid import Maps


class _Range(NamedTuple):
    """The rows, or columns, of each cell: [start, start + count)."""

    start: Int[Array, "n o"]
    count: Int[Array, "n o"]


class _Windows(NamedTuple):
    maps: Maps
    rows: _Range
    columns: _Range


def roi_pool(
    pixels: Float[Array, "l c"],
    boxes: Float[Array, "n 4"],
    maps: Maps,
    *,
    output_size: int,
    longest_side: int,
) -> Float[Array, "n o o c"]:
    """The largest pixel in each of o x o cells of each box, in each channel.

    ``boxes`` are XYXY in pixels of the RoI's own map, whose pixel i has its centre at i; they are
    rounded, halves away from zero, and their last row and column belong to them. What of a box is
    longer or wider than ``longest_side`` is not seen. A cell outside of the map is 0. The gradient
    goes to the first of the largest pixels, row by row (torchvision,
    csrc/ops/cpu/roi_pool_kernel.cpp).
    """
    corners = _round(boxes)
    size = jnp.clip(corners[:, 2:] - corners[:, :2] + 1, 1, longest_side + 2)
    borders = _borders(longest_side + 2, cells=output_size, dtype=boxes.dtype)
    columns, rows = (
        _cells(corners[:, axis], borders[:, size[:, axis]], length)
        for axis, length in ((0, maps.width), (1, maps.height))
    )
    return _largest(pixels, _Windows(maps, rows, columns))


def _round(x: Float[Array, "*n"]) -> Int[Array, "*n"]:
    """To the nearest whole number, halves away from zero (C's ``round``)."""
    is_half = jnp.abs(x - jnp.trunc(x)) == 0.5
    return jnp.where(is_half, jnp.trunc(x) + jnp.sign(x), jnp.round(x)).astype(jnp.int32)


def _borders(longest: int, *, cells: int, dtype: jnp.dtype) -> Int[Array, "2 sizes o"]:
    """Where the cells begin and end in boxes of every size up to ``longest``.

    A table, because rounding decides: 7 times a seventh of 31 is above 31. XLA would multiply by
    the reciprocal where torchvision divides.
    """
    size = np.arange(longest + 1, dtype=dtype)[:, None] / np.asarray(cells, dtype)
    number = np.arange(cells + 1, dtype=dtype)
    low, high = np.floor(number[:-1] * size), np.ceil(number[1:] * size)
    return jnp.asarray(np.stack([low, high]), jnp.int32)


def _cells(start: Array, borders: Int[Array, "2 n o"], length: Array) -> _Range:
    """The cells of boxes that begin at ``start``, cut to maps of ``length``."""
    low, high = jnp.clip(start[:, None] + borders, 0, length[:, None])
    return _Range(low, jnp.maximum(high - low, 0))


@jax.custom_vjp
def _largest(pixels: Float[Array, "l c"], windows: _Windows) -> Float[Array, "n o o c"]:
    return _search(pixels, windows)[0]


def _search(pixels: Array, windows: _Windows) -> tuple[Array, Array]:
    """The largest value of each cell, and the pixel that has it; -1 for a cell without pixels."""
    maps, (top, heights), (left, widths) = windows
    tallest, widest = heights.max(1), widths.max(1)  # [n]
    num_pixels = tallest * widest

    def look(k, found):
        largest, where = found
        dy, dx = jnp.divmod(k, jnp.maximum(widest, 1))  # [n]
        row, column = top + dy[:, None], left + dx[:, None]  # [n, o]
        inside = (dy[:, None] < heights)[:, :, None] & (dx[:, None] < widths)[:, None, :]
        index = row[:, :, None] * maps.width[:, None, None] + column[:, None, :]
        index = jnp.where(inside, maps.offset[:, None, None] + index, 0)
        value = pixels[index]
        larger = inside[..., None] & ((value > largest) | (where < 0))
        return jnp.where(larger, value, largest), jnp.where(larger, index[..., None], where)

    shape = (*top.shape, left.shape[1], pixels.shape[1])
    nothing = jnp.zeros(shape, pixels.dtype), jnp.full(shape, -1, jnp.int32)
    return jax.lax.fori_loop(0, num_pixels.max(initial=0), look, nothing)


def _search_forward(pixels, windows):
    largest, where = _search(pixels, windows)
    return largest, (pixels, where)


def _search_backward(saved, gradient):
    pixels, where = saved
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    gradient = jnp.where(where < 0, 0, gradient)
    channels = jnp.broadcast_to(jnp.arange(where.shape[-1]), where.shape)
    total = jnp.zeros(pixels.shape, gradient.dtype)
    total = total.at[jnp.maximum(where, 0), channels].add(gradient)
    return total.astype(pixels.dtype), None


_largest.defvjp(_search_forward, _search_backward)
