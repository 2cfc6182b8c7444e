"""Mask Scoring R-CNN (Huang et al., 2019): a head that judges the masks of another mask head.

The score of a detection says how sure its class is, not how good its mask. This head predicts the
IoU of the mask with the object; score times IoU ranks the masks.

Shapes: b images, s positives or detections, n RoIs of all images, o pooled side, c channels,
k side of the mask, q classes.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from maskrcnn_jax.layers import Conv, Dense, full_precision
from maskrcnn_jax.losses import squared_error
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.losses import MaskLosses
from maskrcnn_jax.roi.mask.portions import in_portions
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets, object_share
from maskrcnn_jax.roi.mask.unwrapped import UnwrappedMaskHeadConfig
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Samples

_NUM_CONVS = 4
_LOSS_WEIGHT = 0.5  # MMDetection, maskiou_head.py
_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


@dataclass(frozen=True, kw_only=True)
class MaskScoringConfig:
    """``head`` predicts the masks, all else belongs to the head that judges them.

    ``channels`` are those of its convolutions, ``hidden`` those of its linear layers.
    """

    head: UnwrappedMaskHeadConfig = field(default_factory=FCNMaskHeadConfig)
    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=14))
    channels: int = 256
    hidden: int = 1024

    @property
    def targets(self) -> MaskTargetConfig:
        """What ``head`` learns, cut at one half as its masks are."""
        return dataclasses.replace(self.head.targets, soft=False)

    def build(self, num_classes: int) -> "MaskScoringHead":
        return MaskScoringHead(self, num_classes)


class MaskScoringHead(nn.Module):
    """Both verbs do what the wrapped head does, and judge its masks.

    The wrapped head keeps the names that its parameters have without a wrapper; the parameters of
    the other are under ``iou``. So weights without it fit too.
    """

    config: MaskScoringConfig
    num_classes: int

    def setup(self):
        self.head = self.config.head.build(self.num_classes)
        nn.share_scope(self, self.head)
        self.iou = MaskIoUHead(self.config, self.num_classes)

    def loss(
        self,
        features: Features,
        positives: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> MaskLosses:
        """The terms of the wrapped head and ``roi_mask_iou``, over masks that meet their object."""
        losses = self.head.loss(features, positives, truth, keys)
        masks, valid = jax.nn.sigmoid(losses.logits), positives.valid
        predicted = self._predicted_iou(features, positives.boxes, valid, masks, positives.labels)
        judge = partial(mask_iou_targets, config=self.config.targets)
        targets = jax.vmap(judge)(truth, positives, losses.logits)
        term = squared_error(predicted, targets, valid & (targets > 0)).weighted(_LOSS_WEIGHT)
        return MaskLosses(losses.terms | {"roi_mask_iou": term}, losses.logits)

    def predict(self, features: Features, detections: Detections) -> Detections:
        """The wrapped head's masks; ``mask_scores`` are scores times predicted IoU."""
        found = self.head.predict(features, detections)
        iou = self._predicted_iou(
            features, found.mask_frames, found.valid, found.masks, found.labels
        )
        scores = jnp.where(found.valid, found.scores * iou, 0)
        return dataclasses.replace(found, mask_scores=scores)

    def _predicted_iou(
        self,
        features: Features,
        boxes: Float[Array, "b s 4"],
        valid: Bool[Array, "b s"],
        masks: Float[Array, "b s k k"],
        labels: Int[Array, "b s"],
    ) -> Float[Array, "b s"]:
        """That of each mask with an object of its class; ``boxes`` is what the masks cover."""
        pooled = pool(features, boxes, valid, config=self.config.pooling)
        masks = jnp.where(valid[..., None, None], masks, 0)
        every_class = in_portions(
            lambda self, _, pooled, masks: self.iou(pooled, masks),
            *(self, valid, pooled, masks),
            norm=None,
        ).reshape(*labels.shape, self.num_classes)
        labels = jnp.where(valid, labels, 0)
        return jnp.take_along_axis(every_class, labels[..., None], axis=-1)[..., 0]


class MaskIoUHead(nn.Module):
    """How well a mask fits an object of each class: convolutions, then dense layers (paper, 3.2).

    The last convolution has stride 2.
    """

    config: MaskScoringConfig
    num_classes: int

    @nn.compact
    def __call__(
        self, pooled: Float[Array, "n o o c"], masks: Float[Array, "n k k"]
    ) -> Float[Array, "n q"]:
        """Predicted IoUs from RoI features and mask probabilities, in full precision."""
        channels, hidden = self.config.channels, self.config.hidden
        masks = largest_in_cells(masks, pooled.shape[-2]).astype(pooled.dtype)
        x = jnp.concatenate([pooled, masks[..., None]], axis=-1)
        for index in range(_NUM_CONVS):
            stride = 2 if index == _NUM_CONVS - 1 else 1
            name = f"conv{index + 1}"
            x = relu(Conv(channels, 3, kernel_init=_MSRA, stride=stride, name=name)(x))
        x = x.reshape(x.shape[0], -1)
        x = relu(Dense(hidden, kernel_init=_XAVIER, name="fc1")(x))
        x = full_precision(relu(Dense(hidden, kernel_init=_XAVIER, name="fc2")(x)))
        return nn.Dense(
            self.num_classes, kernel_init=nn.initializers.normal(0.01), name="predictor"
        )(x)


def largest_in_cells(masks: Float[Array, "n k k"], side: int) -> Float[Array, "n {side} {side}"]:
    """The largest value of each mask in every cell of a grid of ``side`` x ``side`` over it.

    A max pooling where ``side`` divides k (2x2 from 28 to 14). Otherwise a pixel that lies in two
    cells counts in both, and a mask of fewer pixels than cells is repeated (torch's
    ``AdaptiveMaxPool2d``).
    """
    size = masks.shape[-1]
    cells = np.arange(side)
    first, last = cells * size // side, -(-(cells + 1) * size // side) - 1
    steps = np.arange((last - first).max() + 1)
    pixels = np.minimum(first[:, None] + steps, last[:, None])  # [side, pixels of a cell]
    rows = masks[:, pixels].max(axis=2)  # [n, side, k]
    return rows[:, :, pixels].max(axis=3)


def mask_iou_targets(
    truth: GroundTruth,
    positives: Samples,
    logits: Float[Array, "s k k"],
    *,
    config: MaskTargetConfig,
) -> Float[Array, " s"]:
    """IoU of each predicted mask, cut at one half, with the whole object, for one image.

    What they share is inside the sample's box. The area of the object also counts outside of it:
    its area inside, in pixels of the mask, over the share of the object that is inside (MMDetection
    ``MaskIoUHead.get_targets``, which cuts logits at one half and not probabilities). 0 for invalid
    samples. No gradient flows.
    """
    side = logits.shape[-1]
    wanted = mask_targets(truth, positives, side=side, config=config) > 0
    predicted = logits >= 0
    common, inside, area = (
        x.sum((-1, -2)).astype(logits.dtype) for x in (wanted & predicted, wanted, predicted)
    )
    whole = inside / jnp.maximum(object_share(truth, positives), 1e-7)
    hit = positives.valid & (common > 0)
    iou = common / jnp.where(hit, area + whole - common, 1)
    return jax.lax.stop_gradient(jnp.where(hit, iou, 0))
