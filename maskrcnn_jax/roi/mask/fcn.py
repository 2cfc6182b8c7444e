"""The FCN mask head: a binary mask for every class of every RoI (Mask R-CNN, figure 4, right).

Shapes: b images, s positives, d detections, n RoIs of all images, o pooled side, c channels, k side
of the mask (2 * o by default), q classes (1 if class-agnostic, one more with the background).
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.layers import Conv, full_precision
from maskrcnn_jax.norms import NormConfig
from maskrcnn_jax.ops.conv import pixelwise
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.roi.mask.losses import MaskLosses, positive_labels
from maskrcnn_jax.roi.mask.pixel_losses import BinaryCrossEntropyConfig, PixelLossConfig
from maskrcnn_jax.roi.mask.portions import in_portions
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Samples

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclass(frozen=True, kw_only=True)
class FCNMaskHeadConfig:
    """``num_convs`` 3x3 convolutions, ``num_upsamples`` doublings of the resolution, a predictor.

    A mask has ``side`` cells along each side: 28 by default, 56 and 112 with 2 and 3 upsamples.
    ``background_mask`` adds a mask for the background, as torchvision has it; it takes no part in
    anything.
    """

    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=14))
    num_convs: int = 4
    num_upsamples: Literal[0, 1, 2, 3] = 1
    channels: int = 256
    norm: NormConfig | None = None
    class_agnostic: bool = False
    background_mask: bool = False
    targets: MaskTargetConfig = field(default_factory=MaskTargetConfig)
    loss: PixelLossConfig = field(default_factory=BinaryCrossEntropyConfig)

    def __post_init__(self):
        check_options(self, num_convs=(self.num_convs >= 0, "at least 0"))

    @property
    def side(self) -> int:
        return self.pooling.output_size * 2**self.num_upsamples

    def build(self, num_classes: int) -> "FCNMaskHead":
        return FCNMaskHead(self, num_classes)


class FCNMaskHead(nn.Module):
    config: FCNMaskHeadConfig
    num_classes: int

    def setup(self):
        self.convs = MaskConvs(self.config)
        self.outputs = MaskOutputs(self.config, self.num_classes)
        nn.share_scope(self, self.convs)  # their parameters are this module's own
        nn.share_scope(self, self.outputs)

    def loss(
        self,
        features: Features,
        positives: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> MaskLosses:
        """Mask loss over the positive samples. Nothing is drawn: ``keys`` play no part."""
        del keys
        labels = positive_labels(positives)
        logits = self._logits(features, positives.boxes, positives.valid, labels)
        return fcn_losses(logits, positives, truth, config=self.config)

    def predict(self, features: Features, detections: Detections) -> Detections:
        """The detections with the masks of their classes."""
        logits = self._logits(features, detections.boxes, detections.valid, detections.labels)
        return with_masks(detections, logits)

    def _logits(
        self,
        features: Features,
        boxes: Float[Array, "b s 4"],
        valid: Bool[Array, "b s"],
        labels: Int[Array, "b s"],
    ) -> Float[Array, "b*s k k"]:
        pooled = pool(features, boxes, valid, config=self.config.pooling)
        return in_portions(
            lambda self, valid, pooled, labels: self.outputs(self.convs(pooled, valid), labels),
            *(self, valid, pooled, labels),
            norm=self.config.norm,
        )


class MaskConvs(nn.Module):
    """The convolutions at the pooled resolution."""

    config: FCNMaskHeadConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "n o o _"], valid: Bool[Array, " n"]
    ) -> Float[Array, "n o o c"]:
        config = self.config
        for index in range(config.num_convs):
            x = Conv(
                config.channels,
                3,
                kernel_init=_MSRA,
                use_bias=config.norm is None,
                name=f"conv{index + 1}",
            )(x)
            if config.norm is not None:
                x = config.norm.build(f"norm{index + 1}")(x, valid)
            x = relu(x)
        return x


class MaskOutputs(nn.Module):
    """Mask logits of the classes that are asked for, in full precision."""

    config: FCNMaskHeadConfig
    num_classes: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "n o o c"], labels: Int[Array, " n"]
    ) -> Float[Array, "n k k"]:
        config = self.config
        for index in range(config.num_upsamples):
            name = f"upsample{index + 1}" if index else "upsample"  # most have only one
            x = relu(Upsample(config.channels, name=name)(x))
        num_masks = 1 if config.class_agnostic else self.num_classes + config.background_mask
        return MaskPredictor(num_masks, name="predictor")(full_precision(x), labels)


class MaskPredictor(nn.Module):
    """A product of each pixel's channels with the kernel of the RoI's class.

    The masks of every class, out of which ``select_class`` would take these, are ``num_masks``
    times as large.
    """

    num_masks: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "n k k c"], labels: Int[Array, " n"]
    ) -> Float[Array, "n k k"]:
        init = nn.initializers.normal(0.001)
        kernel = self.param("kernel", init, (x.shape[-1], self.num_masks))
        bias = self.param("bias", nn.initializers.zeros, (self.num_masks,))
        is_class = (labels[:, None] == jnp.arange(self.num_masks)) | (self.num_masks == 1)
        exact = jax.lax.Precision.HIGHEST  # a product, because its gradient is one: no scatter
        own = jnp.matmul(is_class.astype(kernel.dtype), kernel.T, precision=exact)  # [n, c]
        own_bias = jnp.matmul(is_class.astype(bias.dtype), bias, precision=exact)
        return jnp.einsum("nhwc,nc->nhw", x, own) + own_bias[:, None, None]


def fcn_losses(
    logits: Float[Array, "n k k"],
    positives: Samples,
    truth: GroundTruth,
    *,
    config: FCNMaskHeadConfig,
) -> MaskLosses:
    """The losses of the masks of the true classes."""
    targets = jax.vmap(
        lambda truth, positives: mask_targets(
            truth, positives, side=logits.shape[-1], config=config.targets
        )
    )(truth, positives)
    loss = config.loss.build()
    term = loss(logits, targets.reshape(logits.shape), positives.valid.reshape(-1))
    return MaskLosses({"roi_mask": term}, logits.reshape(targets.shape))


def with_masks(detections: Detections, logits: Float[Array, "n k k"]) -> Detections:
    """The detections with masks, which are those of their classes."""
    masks = jax.nn.sigmoid(logits)
    masks = masks.reshape(*detections.labels.shape, *masks.shape[1:])
    return dataclasses.replace(detections, masks=masks)


class Upsample(nn.Module):
    """Transposed 2x2 convolution of stride 2: every pixel becomes a 2x2 patch of its own."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w d"]:
        kernel = self.param("kernel", _MSRA, (2, 2, x.shape[-1], self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        n, h, w, c = x.shape
        side_by_side = kernel.astype(x.dtype).transpose(2, 0, 1, 3).reshape(c, -1)
        patches = pixelwise(x, side_by_side).reshape(n, h, w, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
        # The bias as in ``layers``: its gradient is a sum over all pixels.
        return (patches.reshape(n, 2 * h, 2 * w, -1) + bias).astype(x.dtype)
