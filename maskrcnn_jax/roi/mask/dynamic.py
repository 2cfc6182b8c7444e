"""Dynamic masks of RoIs: each RoI predicts a 1x1 convolution of mask features of the whole image.

SOLOv2's masks (Wang et al., 2020, section 3.3) with a RoI in place of a cell of a grid, and only
inside its box, as in CondInst's relation to Mask R-CNN (Tian et al., 2020). One mask per RoI: the
class plays no part. Their resolution is not tied to that of the pooled features.

Shapes: b images, s positives or detections, k side of the mask, e channels of the mask features.
"""

import dataclasses
from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.layers import Conv, full_precision
from maskrcnn_jax.losses import dice
from maskrcnn_jax.mask_features import MaskFeatures, MaskFeaturesConfig
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.roi.mask.losses import MaskLosses, mask_loss
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Samples

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_LEVEL = 2  # that of the mask features, stride 4


@dataclass(frozen=True, kw_only=True)
class DynamicMaskHeadConfig:
    """``num_convs`` 3x3 convolutions of the pooled features, whose average gives the kernel.

    Masks have ``side`` x ``side`` cells. The mask features need fewer ``outputs`` than SOLOv2's:
    a kernel has to tell its object from others in its box only.
    """

    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=14))
    num_convs: int = 4
    channels: int = 256
    mask_features: MaskFeaturesConfig = field(
        default_factory=lambda: MaskFeaturesConfig(outputs=64)
    )
    side: int = 28
    targets: MaskTargetConfig = field(default_factory=MaskTargetConfig)

    def __post_init__(self):
        check_options(
            self,
            num_convs=(self.num_convs >= 0, "at least 0"),
            side=(self.side >= 1, "at least 1"),
        )

    def build(self, num_classes: int) -> "DynamicMaskHead":
        del num_classes
        return DynamicMaskHead(self)


class DynamicMaskHead(nn.Module):
    config: DynamicMaskHeadConfig

    def loss(
        self,
        features: Features,
        positives: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> MaskLosses:
        """Cross entropy of pixels, as of the FCN head, and Dice, which weighs objects alike.

        Nothing is drawn: ``keys`` play no part.
        """
        del keys
        logits = self._logits(features, positives.boxes, positives.valid)
        targets = jax.vmap(
            lambda truth, positives: mask_targets(
                truth, positives, side=self.config.side, config=self.config.targets
            )
        )(truth, positives)
        masks = (logits.reshape(-1, *logits.shape[2:]), targets.reshape(-1, *targets.shape[2:]))
        valid = positives.valid.reshape(-1)
        terms = {"roi_mask": mask_loss(*masks, valid), "roi_mask_dice": dice(*masks, valid)}
        return MaskLosses(terms, logits)

    def predict(self, features: Features, detections: Detections) -> Detections:
        """The detections with their masks."""
        logits = self._logits(features, detections.boxes, detections.valid)
        return dataclasses.replace(detections, masks=jax.nn.sigmoid(logits))

    @nn.compact
    def _logits(
        self, features: Features, boxes: Float[Array, "b s 4"], valid: Bool[Array, "b s"]
    ) -> Float[Array, "b s k k"]:
        """Mask logits inside the boxes, in full precision."""
        config = self.config
        mask_features = MaskFeatures(config.mask_features, name="mask_features")(features)
        cropped = crop(mask_features, boxes, valid, side=config.side)
        kernels, bias = self._kernels(features, boxes, valid)
        logits = jnp.einsum("bshwe,bse->bshw", cropped, kernels)
        return logits + bias[..., None, None]

    def _kernels(
        self, features: Features, boxes: Array, valid: Array
    ) -> tuple[Float[Array, "b s e"], Float[Array, "b s"]]:
        """The convolution of each RoI."""
        config = self.config
        x = pool(features, boxes, valid, config=config.pooling)
        x = x.reshape(-1, *x.shape[2:])  # [b * s, o, o, c]
        for index in range(config.num_convs):
            x = relu(Conv(config.channels, 3, _MSRA, name=f"conv{index + 1}")(x))
        x = full_precision(x).mean((1, 2)).reshape(*valid.shape, -1)
        outputs = 1 + config.mask_features.outputs
        x = nn.Dense(outputs, kernel_init=nn.initializers.normal(0.01), name="kernel")(x)
        return x[..., 1:], x[..., 0]


def crop(
    mask_features: Float[Array, "b h w e"],
    boxes: Float[Array, "b s 4"],
    valid: Bool[Array, "b s"],
    *,
    side: int,
) -> Float[Array, "b s k k e"]:
    """The features at the centres of the cells of each box, bilinear.

    Sampling is linear, and so is a 1x1 convolution: a crop of the features, convolved, equals a
    crop of the mask of the whole image, and has a hundred times fewer pixels.
    """
    config = RoIAlignConfig(output_size=side, samples_per_cell=1, levels=(_LEVEL,))
    return pool({_LEVEL: mask_features}, boxes, valid, config=config)
