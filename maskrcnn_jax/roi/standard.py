"""The second stage of Mask R-CNN: one box head, and a mask head beside it.

Shapes: b images.
"""

from dataclasses import dataclass, field

import flax.linen as nn
import jax
from jaxtyping import Array, Int, Key

from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.roi.box_head import BoxHeadConfig, refined_positives, sampled_box_losses
from maskrcnn_jax.roi.detections import DetectionConfig, decode_boxes, detect
from maskrcnn_jax.roi.mask import AnyMaskHeadConfig, FCNMaskHeadConfig
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.roi.sampling import RoISamplingConfig, draw_rois, only_positives
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Proposals


@dataclass(frozen=True, kw_only=True)
class StandardRoIHeadConfig:
    """``mask`` None leaves the mask branch out: a Faster R-CNN.

    With ``masks_on_refined_boxes`` the mask head is trained on what the box head makes of the
    positive samples, as it is used (Detectron2's TRAIN_ON_PRED_BOXES, set for PointRend).
    """

    sampling: RoISamplingConfig = field(default_factory=RoISamplingConfig)
    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=7))
    box: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask: AnyMaskHeadConfig | None = field(default_factory=FCNMaskHeadConfig)
    detections: DetectionConfig = field(default_factory=DetectionConfig)
    masks_on_refined_boxes: bool = False

    def build(self, num_classes: int) -> "StandardRoIHead":
        return StandardRoIHead(self, num_classes)


class StandardRoIHead(nn.Module):
    config: StandardRoIHeadConfig
    num_classes: int

    def setup(self):
        mask = self.config.mask
        self.box_head = self.config.box.build(self.num_classes)
        self.mask_head = None if mask is None else mask.build(self.num_classes)

    def loss(
        self,
        features: Features,
        proposals: Proposals,
        sizes: Int[Array, "b 2"],
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> dict[str, LossTerm]:
        """Losses over RoIs sampled around the true objects and from the background.

        ``sizes`` plays no part: proposals lie inside their images.
        """
        config = self.config
        sampling_keys, mask_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
        samples = draw_rois(
            proposals, truth, sampling_keys, num_classes=self.num_classes, config=config.sampling
        )
        pooled = pool(features, samples.boxes, samples.valid, config=config.pooling)
        logits, deltas = self.box_head(pooled)
        losses = sampled_box_losses(logits, deltas, samples, truth, config=config.box)
        if self.mask_head is None:
            return losses
        positives = only_positives(samples, num_classes=self.num_classes, config=config.sampling)
        if config.masks_on_refined_boxes:
            deltas = deltas[:, : positives.labels.shape[1]]
            positives = refined_positives(deltas, positives, config=config.box)
        return losses | self.mask_head.loss(features, positives, truth, mask_keys).terms

    def predict(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of all classes after NMS, then the mask of each one's class."""
        return self.masks_of(features, self.detect(features, proposals, sizes))

    def detect(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of all classes after NMS, without masks."""
        config = self.config
        pooled = pool(features, proposals.boxes, proposals.valid, config=config.pooling)
        logits, deltas = self.box_head(pooled)

        def for_one_image(probabilities, deltas, proposals, size):
            boxes = decode_boxes(
                deltas,
                proposals.boxes,
                size,
                weights=config.box.box_weights,
                limit_shrinking=config.detections.limit_shrinking,
            )
            return detect(probabilities, boxes, proposals.valid, config=config.detections)

        return jax.vmap(for_one_image)(jax.nn.softmax(logits), deltas, proposals, sizes)

    def masks_of(self, features: Features, detections: Detections) -> Detections:
        """The detections, whatever their boxes come from, with their masks if there is a head."""
        if self.mask_head is None:
            return detections
        return self.mask_head.predict(features, detections)
