"""Pooling RoIs from a feature pyramid: level assignment, and RoIAlign or RoIPool.

Shapes: b images, n RoIs of an image, o pooled side, c channels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.errors import InputError, check_options
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.roi_align import roi_align, roi_align_max
from maskrcnn_jax.ops.roi_pool import roi_pool
from maskrcnn_jax.ops.sampling_grid import Maps

# A RoI of this side (in pixels of the input) belongs to this level (FPN paper, eq. 1).
CANONICAL_SIDE = 224
CANONICAL_LEVEL = 4

LEVELS = range(2, 7)  # of a pyramid
# What levels must be that RoIs are pooled from.
NEIGHBOURS = f"one or several without a gap, from {LEVELS[0]} to {LEVELS[-1]}"

# (pixels, boxes, maps) -> [n, o, o, c], as in ``ops.roi_align``.
PoolingFunction: TypeAlias = Callable[[Array, Array, Maps], Array]


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
        _check(self)
        samples = self.samples_per_cell
        check_options(self, samples_per_cell=(samples is None or samples >= 1, "at least 1"))
        if self.reduction == "max" and self.samples_per_cell is None:
            raise InputError(
                "RoIAlignConfig(reduction='max') needs samples_per_cell, for example 2; "
                "it is None (adaptive), which only the mean supports"
            )

    def build(self, *, longest_side: int) -> PoolingFunction:
        """For boxes up to ``longest_side``, in pixels of their maps."""
        options = {"output_size": self.output_size, "half_pixel": self.half_pixel}
        if self.reduction == "max":
            return partial(roi_align_max, samples_per_cell=self.samples_per_cell, **options)
        return partial(
            roi_align,
            samples_per_cell=self.samples_per_cell,
            longest_side=longest_side,
            **options,
        )


@dataclass(frozen=True, kw_only=True)
class RoIPoolConfig:
    """Fast R-CNN's pooling: boxes rounded to pixels, the largest value of each cell."""

    output_size: int
    levels: tuple[int, ...] = (2, 3, 4, 5)

    def __post_init__(self):
        _check(self)

    def build(self, *, longest_side: int) -> PoolingFunction:
        """For boxes up to ``longest_side``, in pixels of their maps."""
        return partial(roi_pool, output_size=self.output_size, longest_side=longest_side)


PoolingConfig: TypeAlias = RoIAlignConfig | RoIPoolConfig


def are_neighbours(levels: Sequence[int]) -> bool:
    """Whether RoIs can be pooled from these: levels of the pyramid, without a gap."""
    order = sorted(levels)
    is_whole = bool(order) and order == list(range(order[0], order[-1] + 1))
    return is_whole and set(order) <= set(LEVELS)


def _check(config: PoolingConfig) -> None:
    check_options(
        config,
        output_size=(config.output_size >= 1, "at least 1"),
        levels=(are_neighbours(config.levels), NEIGHBOURS),
    )


def pool(
    features: Mapping[int, Float[Array, "b _ _ c"]],
    boxes: Float[Array, "b n 4"],
    valid: Bool[Array, "b n"],
    *,
    config: PoolingConfig,
) -> Float[Array, "b n o o c"]:
    """Pools every RoI from the level that suits its size. Invalid RoIs give finite values."""
    order = sorted(config.levels)
    maps = [features[level] for level in order]
    heights, widths = np.array([x.shape[1:3] for x in maps]).T
    offsets = np.cumsum([0, *heights * widths])
    pixels = jnp.concatenate([x.reshape(x.shape[0], -1, x.shape[-1]) for x in maps], axis=1)

    boxes = jnp.where(valid[..., None], boxes, 0)
    level = assign_levels(boxes, lowest=order[0], highest=order[-1])
    which = level - order[0]  # [b, n]
    image = jnp.arange(boxes.shape[0])[:, None] * offsets[-1]
    places = Maps(
        offset=image + jnp.asarray(offsets)[which],
        height=jnp.asarray(heights)[which],
        width=jnp.asarray(widths)[which],
    )
    scaled = boxes / (2.0 ** level[..., None]).astype(boxes.dtype)
    pooled = config.build(longest_side=int(max(*heights, *widths)))(
        pixels.reshape(-1, pixels.shape[-1]),
        scaled.reshape(-1, 4),
        jax.tree.map(jnp.ravel, places),
    )
    return pooled.reshape(*boxes.shape[:2], *pooled.shape[1:])


def assign_levels(boxes: Float[Array, "*n 4"], *, lowest: int, highest: int) -> Int[Array, "*n"]:
    """Level floor(4 + log2(sqrt(area) / 224)), within the given ones (Detectron2 poolers.py)."""
    side = jnp.sqrt(box_ops.area(boxes))
    level = jnp.floor(CANONICAL_LEVEL + jnp.log2(side / CANONICAL_SIDE + 1e-8))
    return jnp.clip(level, lowest, highest).astype(jnp.int32)
