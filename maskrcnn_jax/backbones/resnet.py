"""ResNet (He et al., 2016) and ResNeXt (Xie et al., 2017) as feature extractors.

A stage l in 2..5 has stride 2^l; the contract of a backbone is ``{l: (b, h/2^l, w/2^l, c_l)}``.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.layers import Conv
from maskrcnn_jax.norms import BatchNormConfig, FrozenBatchNormConfig, NormConfig
from maskrcnn_jax.ops.relu import relu

STAGES = (2, 3, 4, 5)

Depth: TypeAlias = Literal[18, 34, 50, 101, 152]

# Blocks of each stage.
BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """Which ResNet, and what of it stays as it is during training.

    ``width`` is the number of channels of the stem. ResNeXt-101 32x8d has ``groups=32`` and
    ``width_per_group=8``. ``stride_in_1x1`` puts the stride of a bottleneck into its first
    convolution (Caffe, Detectron2) instead of its 3x3 one (torchvision): where the weights have it,
    for no array tells. ``frozen_stages`` counts the stem and the following stages that are not
    trained. With ``remat`` only the input of each block is kept for the backward pass, which
    computes the rest again: less memory, more time.
    """

    depth: Depth = 50
    width: int = 64
    groups: int = 1
    width_per_group: int = 64
    stride_in_1x1: bool = False
    norm: NormConfig = field(default_factory=FrozenBatchNormConfig)
    frozen_stages: int = 2
    remat: bool = False

    def __post_init__(self) -> None:
        if self.depth < 50:  # no bottlenecks: nothing of theirs tells two configs apart
            object.__setattr__(self, "stride_in_1x1", False)
        if self.frozen_stages > 0 and isinstance(self.norm, BatchNormConfig):
            raise InputError(
                "a frozen stage needs a norm without running statistics: set frozen_stages to 0, "
                "or use FrozenBatchNormConfig"
            )

    def build(self) -> "ResNet":
        return ResNet(self)

    def frozen_modules(self) -> tuple[str, ...]:
        """Names of the submodules whose parameters are not trained."""
        return tuple(["stem", *(f"res{stage}" for stage in STAGES)][: self.frozen_stages])


_Conv = partial(
    Conv,
    use_bias=False,
    kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
)


class Stem(nn.Module):
    config: ResNetConfig

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b _ _ c"]:
        x = _Conv(self.config.width, 7, stride=2, name="conv")(images)
        x = relu(self.config.norm.build("norm")(x))
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # zeros: x is not negative
        return nn.max_pool(x, (3, 3), strides=(2, 2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (ResNet-18 and 34)."""

    config: ResNetConfig
    channels: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        norm = self.config.norm
        y = _Conv(self.channels, 3, stride=self.stride, name="conv1")(x)
        y = relu(norm.build("norm1")(y))
        y = norm.build("norm2")(_Conv(self.channels, 3, name="conv2")(y))
        return relu(y + _shortcut(self, x))


class Bottleneck(nn.Module):
    """1x1 down, 3x3 (grouped in a ResNeXt), 1x1 up by a factor of 4."""

    config: ResNetConfig
    channels: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        config = self.config
        first, second = (self.stride, 1) if config.stride_in_1x1 else (1, self.stride)
        inner = self.channels // 4 * config.groups * config.width_per_group // 64
        y = _Conv(inner, 1, stride=first, name="conv1")(x)
        y = relu(config.norm.build("norm1")(y))
        y = _Conv(inner, 3, stride=second, groups=config.groups, name="conv2")(y)
        y = relu(config.norm.build("norm2")(y))
        y = config.norm.build("norm3")(_Conv(self.channels, 1, name="conv3")(y))
        return relu(y + _shortcut(self, x))


def _shortcut(block: BasicBlock | Bottleneck, x: Array) -> Array:
    """The identity, or a 1x1 projection where the shape changes."""
    if x.shape[-1] == block.channels and block.stride == 1:
        return x
    x = _Conv(block.channels, 1, stride=block.stride, name="shortcut")(x)
    return block.config.norm.build("shortcut_norm")(x)


class Stage(nn.Module):
    """Blocks of one resolution; the first one changes it."""

    config: ResNetConfig
    stage: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        block, expansion = (BasicBlock, 1) if self.config.depth < 50 else (Bottleneck, 4)
        block = nn.remat(block) if self.config.remat else block
        channels = self.config.width * 2 ** (self.stage - 2) * expansion
        for index in range(BLOCKS[self.config.depth][self.stage - 2]):
            stride = 2 if index == 0 and self.stage > 2 else 1
            x = block(self.config, channels, stride, name=f"block{index}")(x)
        return x


class ResNet(nn.Module):
    config: ResNetConfig

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"]) -> dict[int, Array]:
        x = Stem(self.config, name="stem")(images)
        features = {}
        for stage in STAGES:
            features[stage] = x = Stage(self.config, stage, name=f"res{stage}")(x)
        return features
