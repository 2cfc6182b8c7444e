"""The FCN mask head: a binary mask for every class of every RoI (Mask R-CNN, figure 4, right).

Shapes: n RoIs, o pooled side, c channels, k side of the mask (2 * o), q classes (1 if
class-agnostic).
"""

from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.losses import LossTerm, binary_cross_entropy
from maskrcnn_jax.norms import NormConfig
from maskrcnn_jax.ops.conv import conv_general_dilated
from maskrcnn_jax.roi.pooling import RoIAlignConfig

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclass(frozen=True, kw_only=True)
class FCNMaskHeadConfig:
    """``num_convs`` 3x3 convolutions, one doubling of the resolution, a 1x1 predictor."""

    pooling: RoIAlignConfig = field(default_factory=lambda: RoIAlignConfig(output_size=14))
    num_convs: int = 4
    channels: int = 256
    norm: NormConfig | None = None
    class_agnostic: bool = False

    @property
    def mask_size(self) -> int:
        return 2 * self.pooling.output_size

    def build(self, num_classes: int) -> "FCNMaskHead":
        return FCNMaskHead(self, num_classes)


class FCNMaskHead(nn.Module):
    config: FCNMaskHeadConfig
    num_classes: int

    @nn.compact
    def __call__(
        self, pooled: Float[Array, "n o o c"], valid: Bool[Array, " n"]
    ) -> Float[Array, "n k k q"]:
        """Mask logits of every class. ``valid`` matters to norms over the RoIs only."""
        config, x = self.config, pooled
        for index in range(config.num_convs):
            x = nn.Conv(
                config.channels,
                (3, 3),
                padding=((1, 1), (1, 1)),
                use_bias=config.norm is None,
                kernel_init=_MSRA,
                conv_general_dilated=conv_general_dilated,
                name=f"conv{index + 1}",
            )(x)
            if config.norm is not None:
                x = config.norm.build(f"norm{index + 1}")(x, valid)
            x = nn.relu(x)
        x = nn.relu(Upsample(config.channels, name="upsample")(x))
        num_masks = 1 if config.class_agnostic else self.num_classes
        return nn.Dense(num_masks, kernel_init=nn.initializers.normal(0.001), name="predictor")(x)


class Upsample(nn.Module):
    """Transposed 2x2 convolution of stride 2: every pixel becomes a 2x2 patch of its own."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w d"]:
        kernel = self.param("kernel", _MSRA, (2, 2, x.shape[-1], self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        patches = jnp.einsum("nhwc,ijcd->nhiwjd", x, kernel.astype(x.dtype))
        n, h, _, w, _, d = patches.shape
        return patches.reshape(n, 2 * h, 2 * w, d) + bias.astype(x.dtype)


def mask_loss(
    logits: Float[Array, "n k k q"],
    targets: Bool[Array, "n k k"],
    labels: Int[Array, " n"],
    valid: Bool[Array, " n"],
) -> LossTerm:
    """Binary cross entropy of each pixel, on the mask of the true class only."""
    chosen = select_class(logits, jnp.where(valid, labels, 0))
    counted = jnp.broadcast_to(valid[:, None, None], chosen.shape)
    return binary_cross_entropy(chosen, targets.astype(chosen.dtype), counted)


def mask_probabilities(
    logits: Float[Array, "n k k q"], labels: Int[Array, " n"]
) -> Float[Array, "n k k"]:
    """The probability that each pixel belongs to an object of the given class."""
    return jax.nn.sigmoid(select_class(logits, labels))


def select_class(logits: Float[Array, "n k k q"], labels: Int[Array, " n"]) -> Array:
    """[n, k, k]: the mask of each RoI's class, or the only mask."""
    if logits.shape[-1] == 1:
        return logits[..., 0]
    return jnp.take_along_axis(logits, labels[:, None, None, None], axis=-1)[..., 0]
