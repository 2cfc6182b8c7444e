"""The second stage of Mask R-CNN: one box head, and a mask head beside it.

Shapes: b images, n = b * samples (all RoIs of the batch).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.roi.box_head import BoxHeadConfig, box_losses
from maskrcnn_jax.roi.detections import DetectionConfig, decode_boxes, detect
from maskrcnn_jax.roi.mask_head import FCNMaskHeadConfig, mask_loss, mask_probabilities
from maskrcnn_jax.roi.mask_targets import mask_targets
from maskrcnn_jax.roi.pooling import RoIAlignConfig, pool
from maskrcnn_jax.roi.sampling import RoISamplingConfig, sample_rois
from maskrcnn_jax.structures import Detections, GroundTruth, Proposals, Samples

Features = Mapping[int, Float[Array, "b _ _ c"]]


@dataclass(frozen=True, kw_only=True)
class StandardRoIHeadConfig:
    """``mask`` None leaves the mask branch out: a Faster R-CNN."""

    sampling: RoISamplingConfig = field(default_factory=RoISamplingConfig)
    pooling: RoIAlignConfig = field(default_factory=lambda: RoIAlignConfig(output_size=7))
    box: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask: FCNMaskHeadConfig | None = field(default_factory=FCNMaskHeadConfig)
    detections: DetectionConfig = field(default_factory=DetectionConfig)

    def build(self, num_classes: int) -> "StandardRoIHead":
        return StandardRoIHead(self, num_classes)


class StandardRoIHead(nn.Module):
    config: StandardRoIHeadConfig
    num_classes: int

    def setup(self):
        self.box_head = self.config.box.build(self.num_classes)
        if self.config.mask is not None:
            self.mask_head = self.config.mask.build(self.num_classes)

    def loss(
        self, features: Features, proposals: Proposals, truth: GroundTruth, keys: PRNGKeyArray
    ) -> dict[str, LossTerm]:
        """Losses over RoIs sampled around the true objects and from the background."""
        config = self.config
        samples = jax.vmap(
            lambda proposals, truth, key: sample_rois(
                proposals, truth, key, num_classes=self.num_classes, config=config.sampling
            )
        )(proposals, truth, keys)
        pooled = pool(features, samples.boxes, samples.valid, config=config.pooling)
        logits, deltas = self.box_head(pooled)
        truth_boxes = jnp.take_along_axis(truth.boxes, samples.matched[..., None], axis=1)
        losses = box_losses(
            logits,
            deltas,
            samples.boxes,
            truth_boxes,
            samples.labels,
            samples.valid,
            config=config.box,
        )
        if config.mask is None:
            return losses
        return losses | {"roi_mask": self._mask_loss(features, samples, truth)}

    def predict(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of all classes after NMS, then the mask of each one's class."""
        pooled = pool(features, proposals.boxes, proposals.valid, config=self.config.pooling)
        logits, deltas = self.box_head(pooled)

        def for_one_image(probabilities, deltas, proposals, size):
            boxes = decode_boxes(deltas, proposals.boxes, size, weights=self.config.box.box_weights)
            return detect(probabilities, boxes, proposals.valid, config=self.config.detections)

        detections = jax.vmap(for_one_image)(jax.nn.softmax(logits), deltas, proposals, sizes)
        if self.config.mask is None:
            return detections
        return detections.replace(masks=self._masks(features, detections))

    def _mask_loss(self, features: Features, samples: Samples, truth: GroundTruth) -> LossTerm:
        """Only positives have a mask, and only the first samples can be positive."""
        config = self.config.mask
        samples = jax.tree.map(lambda x: x[:, : self.config.sampling.max_positives], samples)
        positive = samples.valid & (samples.labels < self.num_classes)
        targets = jax.vmap(
            lambda truth, boxes, matched, valid: mask_targets(
                truth, boxes, matched, valid, side=config.mask_size
            )
        )(truth, samples.boxes, samples.matched, positive)
        pooled = pool(features, samples.boxes, positive, config=config.pooling)
        pooled, targets, labels, positive = map(
            _merge_images, (pooled, targets, samples.labels, positive)
        )
        return mask_loss(self.mask_head(pooled, positive), targets, labels, positive)

    def _masks(self, features: Features, detections: Detections) -> Float[Array, "b d k k"]:
        config = self.config.mask
        pooled = pool(features, detections.boxes, detections.valid, config=config.pooling)
        logits = self.mask_head(_merge_images(pooled), _merge_images(detections.valid))
        masks = mask_probabilities(logits, _merge_images(detections.labels))
        return masks.reshape(*detections.labels.shape, *masks.shape[1:])


def _merge_images(x: Array) -> Array:
    """[b, s, ...] -> [b * s, ...]."""
    return x.reshape(-1, *x.shape[2:])
