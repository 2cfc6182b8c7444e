"""The grids of SOLO: each cell of each grid may tell of one object whose middle is in it.

Shapes: b images, n cells of all grids.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """``side`` x ``side`` cells over the padded image, made from one level of the pyramid.

    The grid is for objects of ``sizes``, bounds included: the square root of the area of the box,
    in pixels. Sizes of neighbouring grids overlap. A mask that the grid gives must have more pixels
    of stride 4 than ``min_area``.
    """

    side: int
    sizes: tuple[float, float]
    min_area: int


# MMDetection, configs/solov2/solov2_r50_fpn_1x_coco.py; ``min_area`` are its strides.
GRIDS = (
    GridConfig(side=40, sizes=(1.0, 96.0), min_area=8),
    GridConfig(side=36, sizes=(48.0, 192.0), min_area=8),
    GridConfig(side=24, sizes=(96.0, 384.0), min_area=16),
    GridConfig(side=16, sizes=(192.0, 768.0), min_area=32),
    GridConfig(side=12, sizes=(384.0, 2048.0), min_area=32),
)


def joined(cells: Sequence[Float[Array, "b _ _ k"]]) -> Float[Array, "b n k"]:
    """The cells of all grids in one row: grid by grid, row by row."""
    return jnp.concatenate([x.reshape(x.shape[0], -1, x.shape[-1]) for x in cells], axis=1)


def min_areas(grids: Sequence[GridConfig]) -> Float[Array, " n"]:
    """``min_area`` of each cell."""
    areas = [jnp.full(grid.side**2, grid.min_area, jnp.result_type(float)) for grid in grids]
    return jnp.concatenate(areas)
