"""Morphology of bitmaps with the 3x3 square: a pixel and its eight neighbours.

Shapes: h w size of the mask.
"""

import functools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Bool


def erode(mask: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """The pixels whose neighbours are all in the mask; beyond the grid there is none of it."""
    height, width = mask.shape
    padded = jnp.pad(mask, 1)
    rows = functools.reduce(operator.and_, [padded[i : i + height] for i in range(3)])
    return functools.reduce(operator.and_, [rows[:, j : j + width] for j in range(3)])


def inner_boundary(mask: Bool[Array, "h w"]) -> Bool[Array, "h w"]:
    """The pixels of the mask that erosion takes away: one pixel wide, inside the outline."""
    return mask & ~erode(mask)
