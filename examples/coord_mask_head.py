"""A new mask head in one file: the FCN head that is told where in its box it looks.

RoIAlign brings every box to 14x14 cells. A convolution sees the same 3x3 cells in the middle of a
box and near its border, and has to guess which it is. CoordConv (Liu et al., *An Intriguing Failing
of Convolutional Neural Networks and the CoordConv Solution*, NeurIPS 2018, arXiv:1807.03247) adds
two channels that say it: the x and y of each cell.

``configs/shapes_coord.py`` trains it; ``docs/new_mask_head.md`` goes through this file.

Shapes: b images, s positives, d detections, o pooled side, c channels, k = 2 * o side of the mask,
q classes.
"""

from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from maskrcnn_jax.conv_block import ConvBlock
from maskrcnn_jax.layers import full_precision
from maskrcnn_jax.norms import NormConfig
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.roi.mask import MaskHeadConfig, MaskLosses
from maskrcnn_jax.roi.mask.fcn import Upsample, with_masks
from maskrcnn_jax.roi.mask.losses import mask_loss, positive_labels, select_class
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Samples

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclass(frozen=True, kw_only=True)
class CoordMaskHeadConfig(MaskHeadConfig):
    """``num_convs`` 3x3 convolutions of features and coordinates, then masks of twice the side."""

    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=14))
    num_convs: int = 4
    channels: int = 256
    norm: NormConfig | None = None

    @property
    def side(self) -> int:
        return 2 * self.pooling.output_size

    def build(self, num_classes: int) -> "CoordMaskHead":
        return CoordMaskHead(self, num_classes)


class CoordMaskHead(nn.Module):
    config: CoordMaskHeadConfig
    num_classes: int

    def loss(
        self,
        features: Features,
        positives: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> MaskLosses:
        """Binary cross entropy of the masks of the true classes. Nothing is drawn with ``keys``."""
        del keys
        logits = self._logits(features, positives.boxes, positives.valid)
        chosen = select_class(logits, positive_labels(positives).reshape(-1))  # [b * s, k, k]

        def targets_of_image(truth: GroundTruth, positives: Samples) -> Array:
            return mask_targets(truth, positives, side=self.config.side, config=MaskTargetConfig())

        targets = jax.vmap(targets_of_image)(truth, positives)  # [b, s, k, k]
        term = mask_loss(chosen, targets.reshape(chosen.shape), positives.valid.reshape(-1))
        return MaskLosses({"roi_mask": term}, chosen.reshape(targets.shape))

    def predict(self, features: Features, detections: Detections) -> Detections:
        """The detections with the masks of their classes."""
        logits = self._logits(features, detections.boxes, detections.valid)
        return with_masks(detections, select_class(logits, detections.labels.reshape(-1)))

    @nn.compact
    def _logits(
        self, features: Features, boxes: Float[Array, "b s 4"], valid: Bool[Array, "b s"]
    ) -> Float[Array, "b*s k k q"]:
        """A mask for every class of every box, in full precision."""
        config = self.config
        x = pool(features, boxes, valid, config=config.pooling)
        x = x.reshape(-1, *x.shape[2:])  # [b * s, o, o, c]
        where = jnp.asarray(cell_coordinates(x.shape[-2]), x.dtype)
        where = jnp.broadcast_to(where, (*x.shape[:-1], 2))
        x = jnp.concatenate([x, where], axis=-1)
        for index in range(config.num_convs):
            block = ConvBlock(config.channels, 3, config.norm, _MSRA, name=f"conv{index + 1}")
            x = block(x, valid.reshape(-1))
        x = full_precision(relu(Upsample(config.channels, name="upsample")(x)))
        return nn.Dense(
            self.num_classes, kernel_init=nn.initializers.normal(0.001), name="predictor"
        )(x)


def cell_coordinates(side: int) -> Float[np.ndarray, "o o 2"]:
    """The centre (x, y) of each cell of a box that reaches from -1 to 1."""
    centres = (2 * np.arange(side) + 1) / side - 1
    return np.stack(np.meshgrid(centres, centres), axis=-1)
