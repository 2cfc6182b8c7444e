"""Where RoIAlign samples: pixels and weights of every cell, along each axis.

Shapes: n RoIs, o cells per side, s samples and t taps per cell and axis.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped


class Taps(NamedTuple):
    """The pixels that a cell reads along one axis; those beyond ``count`` have weight 0."""

    index: Int[Array, "n o t"]
    weight: Float[Array, "n o t"]
    count: Int[Array, " n"]


class Maps(NamedTuple):
    """Where in the list of pixels the map of each RoI lies, row by row."""

    offset: Int[Array, " n"]
    height: Int[Array, " n"]
    width: Int[Array, " n"]


class Grid(NamedTuple):
    """All taps of all cells of all RoIs."""

    maps: Maps
    y: Taps
    x: Taps

    def pair(self, ty, tx) -> tuple[Int[Array, "n o o"], Float[Array, "n o o 1"]]:
        """Pixels and weights of one pair of taps: one for all RoIs (ints) or one for each."""
        row = _pick(self.y.index, ty)[:, :, None] * self.maps.width[:, None, None]
        pixel = self.maps.offset[:, None, None] + row + _pick(self.x.index, tx)[:, None, :]
        weight = _pick(self.y.weight, ty)[:, :, None] * _pick(self.x.weight, tx)[:, None, :]
        return pixel, weight[..., None]


def fixed_taps(start: Array, size: Array, length: Array, *, cells: int, samples: int) -> Taps:
    """Two taps for each sample, of which every cell has ``samples``."""
    in_cells = np.arange(cells)[:, None] + (np.arange(samples) + 0.5) / samples  # [o, s]
    length = length[:, None, None]
    position = start[:, None, None] + in_cells.astype(start.dtype) * (size / cells)[:, None, None]
    low, above, inside = _bilinear(position, length)  # [n, o, s]
    index = jnp.stack([low, jnp.minimum(low + 1, length - 1)], -1)
    weight = jnp.stack([1 - above, above], -1) * (inside / samples)[..., None]
    flat, count = (*low.shape[:2], 2 * samples), jnp.full(start.shape, 2 * samples)
    return Taps(index=index.reshape(flat), weight=weight.reshape(flat), count=count)


def adaptive_taps(
    start: Array, size: Array, length: Array, *, cells: int, max_samples: int
) -> Taps:
    """One tap for each pixel that any sample of the cell touches; ceil(cell size) samples."""
    cell = size / cells
    samples = jnp.ceil(cell)[:, None, None]  # per RoI; a cell of no size has none
    s = jnp.arange(max_samples)
    position = (
        start[:, None, None]
        + jnp.arange(cells)[:, None] * cell[:, None, None]
        + (s + 0.5) * (cell[:, None, None] / jnp.maximum(samples, 1))
    )  # [n, o, s]
    low, above, inside = _bilinear(position, length[:, None, None])
    share = jnp.where(inside & (s < samples), 1 / jnp.maximum(samples, 1), 0)
    first = low[..., :1]  # samples lie at most a pixel apart: they span max_samples + 1 pixels
    t = jnp.arange(max_samples + 1)
    step = (low - first)[..., None]  # [n, o, s, 1]
    hit = jnp.where(step == t, 1 - above[..., None], 0) + jnp.where(
        step + 1 == t, above[..., None], 0
    )
    weight = (hit * share[..., None]).sum(-2)  # [n, o, t]
    index = jnp.minimum(first + t, length[:, None, None] - 1)
    used = (weight != 0).any(1)  # [n, t]
    return Taps(index=index, weight=weight, count=(used * (t + 1)).max(-1))


def _bilinear(position: Array, length: Array) -> tuple[Array, Array, Array]:
    """The lower pixel of a sample, the weight of the pixel above it, and whether it is inside."""
    inside = (position >= -1) & (position <= length)
    position = jnp.clip(position, 0, length - 1)
    low = jnp.floor(position)
    return low.astype(jnp.int32), position - low, inside


def _pick(values: Shaped[Array, "n o t"], tap) -> Array:
    if isinstance(tap, int):
        return values[..., tap]
    return jnp.take_along_axis(values, tap[:, None, None], axis=-1)[..., 0]
