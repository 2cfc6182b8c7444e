"""What each cell of the grids says: the class of its object, and the kernel of its mask.

Shapes: b images, n cells of all grids, k classes, e channels of the mask features.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.conv_block import ConvBlock
from maskrcnn_jax.errors import check_options
from maskrcnn_jax.layers import Conv, full_precision
from maskrcnn_jax.norms import GroupNormConfig, NormConfig
from maskrcnn_jax.ops.resize import resize, with_coordinates
from maskrcnn_jax.solo.grids import GRIDS, GridConfig, joined

_NORMAL = nn.initializers.normal(0.01)
_FIRST_PROBABILITY = 0.01  # of every class, so that background does not drown all else at first


@dataclass(frozen=True, kw_only=True)
class SOLOHeadConfig:
    """One of ``grids`` for each level of the pyramid, the finest first.

    Classes and kernels have ``num_convs`` convolutions each, shared by all grids.
    """

    grids: tuple[GridConfig, ...] = GRIDS
    num_convs: int = 4
    channels: int = 512
    norm: NormConfig = field(default_factory=GroupNormConfig)

    def __post_init__(self):
        check_options(
            self,
            grids=(len(self.grids) == len(GRIDS), f"{len(GRIDS)}, one for each level"),
            num_convs=(self.num_convs >= 1, "at least 1"),
        )

    def build(self, num_classes: int, kernel_size: int) -> "SOLOHead":
        return SOLOHead(self, num_classes, kernel_size)


class Cells(NamedTuple):
    """The cells of all grids, grid by grid and row by row. ``logits`` are for a sigmoid."""

    logits: Float[Array, "b n k"]
    kernels: Float[Array, "b n e"]


class SOLOHead(nn.Module):
    config: SOLOHeadConfig
    num_classes: int
    kernel_size: int

    @nn.compact
    def __call__(self, features: Mapping[int, Float[Array, "b _ _ c"]]) -> Cells:
        """A level is resized to its grid; the kernels, but not the classes, know coordinates."""
        config = self.config
        class_convs = [self._block(f"class_block{i}") for i in range(config.num_convs)]
        kernel_convs = [self._block(f"kernel_block{i}") for i in range(config.num_convs)]
        first_bias = nn.initializers.constant(-math.log(1 / _FIRST_PROBABILITY - 1))
        classes = Conv(self.num_classes, 3, _NORMAL, bias_init=first_bias, name="classes")
        kernels = Conv(self.kernel_size, 3, _NORMAL, name="kernels")
        logits_of_grids, kernels_of_grids = [], []
        for grid, x in zip(config.grids, _closer_levels(features), strict=True):
            x = resize(with_coordinates(x), (grid.side, grid.side))
            logits_of_grids.append(classes(nn.Sequential(class_convs)(x[..., :-2])))
            kernels_of_grids.append(kernels(nn.Sequential(kernel_convs)(x)))
        return Cells(
            logits=full_precision(joined(logits_of_grids)),
            kernels=full_precision(joined(kernels_of_grids)),
        )

    def _block(self, name: str) -> ConvBlock:
        return ConvBlock(self.config.channels, 3, self.config.norm, kernel_init=_NORMAL, name=name)


def _closer_levels(features: Mapping[int, Array]) -> list[Array]:
    """The finest level halved and the coarsest brought to the size of the one before it.

    The grids want strides 8, 8, 16, 32, 32 (MMDetection, solo_head.py: ``resize_feats``).
    """
    finest, *others, before_last, coarsest = (features[level] for level in sorted(features))
    halved = resize(finest, (finest.shape[1] // 2, finest.shape[2] // 2))
    return [
        halved,
        *others,
        before_last,
        resize(coarsest, (before_last.shape[1], before_last.shape[2])),
    ]
