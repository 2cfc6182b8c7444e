"""One map of mask features for the whole image, at stride 4 (SOLOv2, section 3.3, figure 3).

A mask is one 1x1 convolution of this map, whose kernel was predicted for its object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.conv_block import ConvBlock
from maskrcnn_jax.layers import full_precision
from maskrcnn_jax.norms import GroupNormConfig, NormConfig
from maskrcnn_jax.ops.resize import resize, with_coordinates

STRIDE = 4  # pixels of the image, for one of the map

_LEVELS = (2, 3, 4, 5)
_NORMAL = nn.initializers.normal(0.01)  # MMDetection, solov2_head.py


@dataclass(frozen=True, kw_only=True)
class MaskFeaturesConfig:
    """``channels`` inside, ``outputs`` of the map, which are the inputs of a mask's kernel."""

    channels: int = 128
    outputs: int = 256
    norm: NormConfig = field(default_factory=GroupNormConfig)

    def build(self) -> "MaskFeatures":
        return MaskFeatures(self)


class MaskFeatures(nn.Module):
    """Brings levels 2 to 5 to stride 4, adds them, and ends in a 1x1 convolution.

    A level is convolved and doubled in size until it is as large as level 2; the coarsest one knows
    the coordinates of its pixels.
    """

    config: MaskFeaturesConfig

    @nn.compact
    def __call__(self, features: Mapping[int, Float[Array, "b _ _ c"]]) -> Float[Array, "b h w e"]:
        channels = self.config.channels
        block = partial(ConvBlock, norm=self.config.norm, kernel_init=_NORMAL)
        finest, *_, coarsest = _LEVELS
        total = block(channels, 3, name=f"level{finest}_block0")(features[finest])
        for level in _LEVELS[1:]:
            x = features[level]
            x = with_coordinates(x) if level == coarsest else x
            for index in range(level - finest):
                x = block(channels, 3, name=f"level{level}_block{index}")(x)
                x = resize(x, (2 * x.shape[1], 2 * x.shape[2]))
            total += x
        return full_precision(block(self.config.outputs, 1, name="predictor")(total))
