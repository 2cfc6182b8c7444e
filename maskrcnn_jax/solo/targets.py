"""Which object each cell of the grids stands for in training, for one image.

Shapes: g ground-truth objects, m n bitmap size, s side of a grid, c cells of all grids.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.mask_features import STRIDE
from maskrcnn_jax.ops.paste import paste_masks
from maskrcnn_jax.solo.grids import GridConfig
from maskrcnn_jax.structures import GroundTruth

_CENTRE_REGION = 0.2  # of an object's box, around its centre of mass (SOLO, section 3.3.1)
_REACH = 1  # cells around that of the centre, which the region cannot exceed


class CellTargets(NamedTuple):
    """``matched`` is the index of the cell's object, of no meaning where it is not ``positive``."""

    matched: Int[Array, " c"]
    positive: Bool[Array, " c"]


def cell_targets(
    truth: GroundTruth, *, image_size: tuple[int, int], grids: Sequence[GridConfig]
) -> CellTargets:
    """A cell is positive if it meets the middle of an object of the size that its grid is for.

    The middle is a fifth of the box around the mask's centre of mass, and reaches at most one cell
    beyond that of the centre. Where the middles of objects meet, the later object in ``truth`` has
    the cell. ``image_size`` is (height, width) of the padded image, which the grids divide.
    (MMDetection, solov2_head.py: ``_get_targets_single``, where such a cell is trained on the
    masks of all its objects, and on the class of the last one.)
    """
    centres, nonempty = _centres_of_mass(truth)
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    lengths = jnp.sqrt(jnp.maximum(sides[:, 0] * sides[:, 1], 0))
    owners = []
    for grid in grids:
        low, high = grid.sizes
        chosen = truth.valid & nonempty & (lengths >= low) & (lengths <= high)
        scale = grid.side / jnp.asarray(image_size[::-1], centres.dtype)
        columns, rows = (
            _in_middle(centres[:, axis] * scale[axis], sides[:, axis] * scale[axis], grid.side)
            for axis in (0, 1)
        )
        inside = chosen[:, None, None] & rows[:, :, None] & columns[:, None, :]  # [g, s, s]
        index = jnp.arange(len(chosen))[:, None, None]
        owners.append(jnp.where(inside, index, -1).max(axis=0, initial=-1).reshape(-1))
    owner = jnp.concatenate(owners)
    return CellTargets(matched=jnp.maximum(owner, 0), positive=owner >= 0)


def max_positives(num_slots: int, *, grids: Sequence[GridConfig]) -> int:
    """How many cells can be positive at most, whatever the objects are."""
    num_cells = sum(grid.side**2 for grid in grids)
    at_once = max(
        sum(low <= size <= high for low, high in (grid.sizes for grid in grids))
        for size in (bound for grid in grids for bound in grid.sizes)
    )
    return min(num_cells, num_slots * at_once * (2 * _REACH + 1) ** 2)


def rasterised(truth: GroundTruth, *, size: tuple[int, int]) -> Bool[Array, "g h w"]:
    """The objects' masks at stride 4, ``size`` (height, width); empty where there is no object.

    A pixel belongs to an object if the bitmap, seen bilinearly at its centre, is at least one half.
    """
    bitmaps = truth.masks.astype(truth.boxes.dtype)
    frames = truth.mask_frames / STRIDE
    masks = paste_masks(bitmaps, frames, valid=truth.valid, height=size[0], width=size[1])
    return masks >= 0.5


def _in_middle(
    centre: Float[Array, " g"], side: Float[Array, " g"], num_cells: int
) -> Bool[Array, "g s"]:
    """Along one axis, in units of cells: those between the ends of the middle, both included."""
    reach = 0.5 * _CENTRE_REGION * side
    first = jnp.maximum(jnp.floor(centre - reach), jnp.floor(centre) - _REACH)
    last = jnp.minimum(jnp.floor(centre + reach), jnp.floor(centre) + _REACH)
    cells = jnp.arange(num_cells)
    return (cells >= first[:, None]) & (cells <= last[:, None])


def _centres_of_mass(truth: GroundTruth) -> tuple[Float[Array, "g 2"], Bool[Array, " g"]]:
    """(x, y) of each mask, and whether it has any pixel.

    They are half a pixel to the left and above: MMDetection averages the indices of pixels. Of what
    is thinner than a pixel at the border of the image, they are in the first pixel.
    """
    height, width = truth.masks.shape[-2:]
    dtype = truth.boxes.dtype
    columns, rows = (truth.masks.sum(axis, dtype=dtype) for axis in (1, 2))
    area = columns.sum(-1)
    x, y = (
        (profile * (jnp.arange(length) + 0.5)).sum(-1) / jnp.maximum(area, 1) / length
        for profile, length in ((columns, width), (rows, height))
    )
    low, high = truth.mask_frames[:, :2], truth.mask_frames[:, 2:]
    centres = low + jnp.stack([x, y], axis=-1) * (high - low) - 0.5
    return jnp.maximum(centres, 0), area > 0
