"""A mask head that also learns the boundary of the mask (BMask R-CNN, Cheng et al., 2020).

    pooled 14x14 -> convs -----------------+------------------------> + -> fusion -> x2 -> masks
                                           v                          ^
    pooled 28x28 -> convolution by two --> + -> boundary convs -------+--> x2 -> boundaries

What crosses over is added after a 1x1 convolution. The boundary branch looks at the finest level.
Structure and numbers are those of the authors' code (hustvl/BMaskR-CNN, ``mask_head.py``).

Shapes: b images, s positives, d detections, n RoIs of all images, o pooled side, k side of the
mask, c channels.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float, Int, Key

from maskrcnn_jax.conv_block import ConvBlock
from maskrcnn_jax.errors import check_options
from maskrcnn_jax.losses import LossTerm, smooth_dice
from maskrcnn_jax.ops.morphology import inner_boundary
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig, MaskConvs, MaskOutputs, with_masks
from maskrcnn_jax.roi.mask.losses import MaskLosses, mask_loss, positive_labels
from maskrcnn_jax.roi.mask.portions import in_portions
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets
from maskrcnn_jax.roi.pooling import NEIGHBOURS, PoolingConfig, are_neighbours, pool
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Samples

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclass(frozen=True, kw_only=True)
class BoundaryMaskHeadConfig:
    """``fcn`` is the mask branch: what it would be alone. Both branches end in its resolution.

    The boundary branch pools twice as many cells, from ``boundary_levels``.
    """

    fcn: FCNMaskHeadConfig = field(default_factory=FCNMaskHeadConfig)
    boundary_levels: tuple[int, ...] = (2,)
    num_boundary_convs: int = 2

    def __post_init__(self):
        check_options(
            self,
            boundary_levels=(are_neighbours(self.boundary_levels), NEIGHBOURS),
            num_boundary_convs=(self.num_boundary_convs >= 0, "at least 0"),
        )

    @property
    def boundary_pooling(self) -> PoolingConfig:
        pooling = self.fcn.pooling
        return dataclasses.replace(
            pooling, output_size=2 * pooling.output_size, levels=self.boundary_levels
        )

    @property
    def targets(self) -> MaskTargetConfig:
        return self.fcn.targets

    @property
    def side(self) -> int:
        return self.fcn.side

    def build(self, num_classes: int) -> "BoundaryMaskHead":
        return BoundaryMaskHead(self, num_classes)


class Logits(NamedTuple):
    """Of masks and of their boundaries, of the classes asked for, in full precision."""

    masks: Float[Array, "n k k"]
    boundaries: Float[Array, "n k k"]


class BoundaryMaskHead(nn.Module):
    config: BoundaryMaskHeadConfig
    num_classes: int

    def setup(self):
        fcn = self.config.fcn
        self.convs = MaskConvs(fcn)
        self.outputs = MaskOutputs(fcn, self.num_classes)
        nn.share_scope(self, self.convs)  # as in the FCN head, whose weights fit
        nn.share_scope(self, self.outputs)
        block = partial(ConvBlock, fcn.channels, norm=fcn.norm, kernel_init=_MSRA)
        self.downsample = block(3, stride=2)
        self.mask_to_boundary = block(1)
        self.boundary_convs = [block(3) for _ in range(self.config.num_boundary_convs)]
        self.boundary_to_mask = block(1)
        self.fusion = block(3)
        self.boundary_outputs = MaskOutputs(fcn, self.num_classes)

    def loss(
        self,
        features: Features,
        positives: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> MaskLosses:
        """Losses of the masks and of their boundaries. Nothing is drawn: ``keys`` play no part."""
        del keys
        fcn = self.config.fcn
        labels = positive_labels(positives)
        masks, boundaries = self._logits(features, positives.boxes, positives.valid, labels)
        targets = jax.vmap(
            lambda truth, positives: mask_targets(
                truth, positives, side=fcn.side, config=fcn.targets
            )
        )(truth, positives)
        flat, valid = targets.reshape(masks.shape), positives.valid.reshape(-1)
        terms = {
            "roi_mask": fcn.loss.build()(masks, flat, valid),
            "roi_boundary": boundary_loss(boundaries, flat, valid),
        }
        return MaskLosses(terms, masks.reshape(targets.shape))

    def predict(self, features: Features, detections: Detections) -> Detections:
        """The detections with the masks of their classes."""
        logits = self._logits(features, detections.boxes, detections.valid, detections.labels)
        return with_masks(detections, logits.masks)

    def _logits(
        self,
        features: Features,
        boxes: Float[Array, "b s 4"],
        valid: Bool[Array, "b s"],
        labels: Int[Array, "b s"],
    ) -> Logits:
        pooled = pool(features, boxes, valid, config=self.config.fcn.pooling)
        finer = pool(features, boxes, valid, config=self.config.boundary_pooling)
        return in_portions(
            BoundaryMaskHead._look,
            *(self, valid, pooled, finer, labels),
            norm=self.config.fcn.norm,
        )

    def _look(
        self,
        valid: Bool[Array, " n"],
        pooled: Float[Array, "n o o _"],
        finer: Float[Array, "n 2*o 2*o _"],
        labels: Int[Array, " n"],
    ) -> Logits:
        masks = self.convs(pooled, valid)
        boundaries = self.downsample(finer, valid) + self.mask_to_boundary(masks, valid)
        for conv in self.boundary_convs:
            boundaries = conv(boundaries, valid)
        masks = self.fusion(masks + self.boundary_to_mask(boundaries, valid), valid)
        return Logits(self.outputs(masks, labels), self.boundary_outputs(boundaries, labels))


def boundary_loss(
    logits: Float[Array, "n k k"], targets: Float[Array, "n k k"], valid: Bool[Array, " n"]
) -> LossTerm:
    """Mean cross entropy of the pixels plus Dice loss of each boundary; counts the valid masks.

    The boundary of a target is its pixels with one of their eight neighbours outside of it, which
    is where the authors' Laplacian is positive. Beyond the box there is nothing, so the boundary
    also runs where the box cuts the object.
    """
    outlines = jax.vmap(inner_boundary)(targets >= 0.5).astype(logits.dtype)
    pixels, overlap = mask_loss(logits, outlines, valid), smooth_dice(logits, outlines, valid)
    return LossTerm(pixels.sum / math.prod(logits.shape[1:]) + overlap.sum, overlap.count)
