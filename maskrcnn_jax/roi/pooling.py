"""Pooling of RoIs from a feature pyramid: level assignment and RoIAlign.

Shapes: b images, n RoIs of an image, o pooled side, c channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.roi_align import Maps, roi_align, roi_align_max

# A RoI of this side (in pixels of the input) belongs to this level (FPN paper, eq. 1).
CANONICAL_SIDE = 224
CANONICAL_LEVEL = 4


@dataclass(frozen=True, kw_only=True)
class RoIAlignConfig:
    """How RoIs become features of ``output_size`` x ``output_size``.

    ``samples_per_cell`` counts samples per axis; None adapts it to the RoI's size as Detectron2
    does. ``half_pixel`` is Detectron2's ``aligned``. ``reduction`` "max" takes the largest sample
    instead of the average and needs a fixed number of samples.
    """

    output_size: int
    samples_per_cell: int | None = None
    half_pixel: bool = True
    reduction: Literal["mean", "max"] = "mean"
    levels: tuple[int, ...] = (2, 3, 4, 5)

    def __post_init__(self):
        if self.reduction == "max" and self.samples_per_cell is None:
            raise ValueError(
                "RoIAlignConfig(reduction='max') needs samples_per_cell, for example 2; "
                "it is None (adaptive), which only the mean supports"
            )


def pool(
    features: Mapping[int, Float[Array, "b _ _ c"]],
    boxes: Float[Array, "b n 4"],
    valid: Bool[Array, "b n"],
    *,
    config: RoIAlignConfig,
) -> Float[Array, "b n o o c"]:
    """Pools every RoI from the level that suits its size. Invalid RoIs give finite values."""
    levels = {level: features[level] for level in config.levels}

    def for_one_image(levels, boxes, valid):
        return _pool_image(levels, jnp.where(valid[:, None], boxes, 0), config)

    return jax.vmap(for_one_image)(levels, boxes, valid)


def assign_levels(boxes: Float[Array, "*n 4"], *, lowest: int, highest: int) -> Int[Array, "*n"]:
    """Level floor(4 + log2(sqrt(area) / 224)), within the given ones (Detectron2 poolers.py)."""
    side = jnp.sqrt(box_ops.area(boxes))
    level = jnp.floor(CANONICAL_LEVEL + jnp.log2(side / CANONICAL_SIDE + 1e-8))
    return jnp.clip(level, lowest, highest).astype(jnp.int32)


def _pool_image(levels: dict[int, Array], boxes: Array, config: RoIAlignConfig) -> Array:
    order = sorted(levels)
    heights, widths = np.array([levels[level].shape[:2] for level in order]).T
    offsets = np.concatenate([[0], np.cumsum(heights * widths)[:-1]])
    pixels = jnp.concatenate(
        [levels[level].reshape(-1, levels[level].shape[-1]) for level in order]
    )

    level = assign_levels(boxes, lowest=order[0], highest=order[-1])
    which = level - order[0]
    maps = Maps(*(jnp.asarray(x, jnp.int32)[which] for x in (offsets, heights, widths)))
    scaled = boxes / (2.0 ** level[:, None]).astype(boxes.dtype)
    if config.reduction == "max" and config.samples_per_cell is not None:
        return roi_align_max(
            pixels,
            scaled,
            maps,
            output_size=config.output_size,
            samples_per_cell=config.samples_per_cell,
            half_pixel=config.half_pixel,
        )
    return roi_align(
        pixels,
        scaled,
        maps,
        output_size=config.output_size,
        samples_per_cell=config.samples_per_cell,
        half_pixel=config.half_pixel,
        longest_side=int(max(*heights, *widths)),
    )
