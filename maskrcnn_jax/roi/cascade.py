"""Cascade R-CNN (Cai and Vasconcelos, 2018) with masks: several box heads, one after the other.

Each stage starts from the boxes that the one before has refined, and is trained with a higher
overlap from which a box counts as positive: better boxes are told from good ones.

Shapes: b images, n RoIs of an image.
"""

import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
from jaxtyping import Array, Float, Int, Key

from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.ops.gradient import scale_gradient
from maskrcnn_jax.roi.box_head import BoxHeadConfig, sampled_box_losses
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.mask import AnyMaskHeadConfig, FCNMaskHeadConfig
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.roi.sampling import (
    RoISamplingConfig,
    draw_rois,
    only_positives,
    refined_proposals,
    rematch,
)
from maskrcnn_jax.roi.stages import (
    RefinementConfig,
    Stage,
    all_stages,
    average_masks,
    detect_in_stages,
    refine,
    require_one_box,
)
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Proposals, Samples


@dataclass(frozen=True, kw_only=True)
class CascadeRoIHeadConfig:
    """``sampling`` and ``box`` are those of the first stage, from which ``refinements`` depart.

    The defaults are Detectron2's: samples are drawn once and matched anew in every stage, and one
    mask head is trained on that draw. With ``resample`` every stage draws from the boxes of the
    one before and has a mask head trained on its draw, as in MMDetection.

    Detections have the boxes of the last stage. Their scores come from all: ``averaged`` are the
    "probabilities" of the classes (Detectron2) or their "logits" (MMDetection), and the masks of
    all mask heads. ``gradient_scale`` multiplies the gradient from every box head into the features
    (None: one over the number of stages, as in Detectron2; MMDetection: 1).
    """

    sampling: RoISamplingConfig = field(default_factory=RoISamplingConfig)
    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=7))
    box: BoxHeadConfig = field(default_factory=lambda: BoxHeadConfig(class_agnostic=True))
    mask: AnyMaskHeadConfig | None = field(default_factory=FCNMaskHeadConfig)
    detections: DetectionConfig = field(default_factory=DetectionConfig)
    refinements: tuple[RefinementConfig, ...] = (
        RefinementConfig(positive_from=0.6, box_weights=(20.0, 20.0, 10.0, 10.0)),
        RefinementConfig(positive_from=0.7, box_weights=(30.0, 30.0, 15.0, 15.0)),
    )
    resample: bool = False
    averaged: Literal["probabilities", "logits"] = "probabilities"
    gradient_scale: float | None = None

    def __post_init__(self):
        require_one_box(self.box)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, the first to the last."""
        return all_stages(self.sampling, self.box, self.refinements)

    def build(self, num_classes: int) -> "CascadeRoIHead":
        return CascadeRoIHead(self, num_classes)


class CascadeRoIHead(nn.Module):
    config: CascadeRoIHeadConfig
    num_classes: int

    def setup(self):
        config, stages = self.config, self.config.stages
        self.box_heads = [stage.box.build(self.num_classes) for stage in stages]
        if config.mask is None:
            self.mask_heads = []
        elif config.resample:
            self.mask_heads = [config.mask.build(self.num_classes) for _ in stages]
        else:
            self.mask_head = config.mask.build(self.num_classes)
            self.mask_heads = [self.mask_head]

    def loss(
        self,
        features: Features,
        proposals: Proposals,
        sizes: Int[Array, "b 2"],
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> dict[str, LossTerm]:
        """Losses of all stages; their names end in the number of the stage, from 0."""
        stages, limit = self.config.stages, self.config.detections.limit_shrinking
        split = partial(jax.random.split, num=(2, len(stages)))
        drawing_keys, mask_keys = jax.vmap(split, out_axes=2)(keys)  # each [stages, b]
        samples = draw_rois(
            *(proposals, truth, drawing_keys[0]),
            num_classes=self.num_classes,
            config=stages[0].sampling,
        )
        losses, deltas = self._stage_losses(features, samples, truth, mask_keys[0], stages[0])
        for before, stage in itertools.pairwise(stages):
            boxes = refine(deltas, samples.boxes, sizes, stage=before, limit_shrinking=limit)
            samples = self._next_samples(samples, boxes, truth, drawing_keys[stage.number], stage)
            terms, deltas = self._stage_losses(
                features, samples, truth, mask_keys[stage.number], stage
            )
            losses |= terms
        return losses

    def predict(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of the last stage after NMS, then the mask of each one's class."""
        return self.masks_of(features, self.detect(features, proposals, sizes))

    def detect(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of the last stage after NMS, without masks."""
        config = self.config

        def look(boxes: Array, stage: Stage) -> tuple[Array, Array]:
            pooled = pool(features, boxes, proposals.valid, config=config.pooling)
            return self.box_heads[stage.number](pooled)

        return detect_in_stages(
            *(look, proposals, sizes),
            stages=config.stages,
            averaged=config.averaged,
            config=config.detections,
        )

    def masks_of(self, features: Features, detections: Detections) -> Detections:
        """The detections, whatever their boxes come from, with their masks if there are heads."""
        if not self.mask_heads:
            return detections
        return average_masks([head.predict(features, detections) for head in self.mask_heads])

    def _next_samples(
        self,
        samples: Samples,
        boxes: Float[Array, "b n 4"],
        truth: GroundTruth,
        keys: Key[Array, " b"],
        stage: Stage,
    ) -> Samples:
        """The samples of ``stage``, from those of the stage before and what has become of them."""
        if self.config.resample:
            proposals = jax.vmap(refined_proposals)(samples, boxes, truth)
            return draw_rois(
                proposals, truth, keys, num_classes=self.num_classes, config=stage.sampling
            )
        again = partial(
            rematch, num_classes=self.num_classes, positive_from=stage.sampling.positive_from
        )
        return jax.vmap(again)(samples, boxes, truth)

    def _stage_losses(
        self,
        features: Features,
        samples: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
        stage: Stage,
    ) -> tuple[dict[str, LossTerm], Float[Array, "b n 4"]]:
        """The losses of a stage, and its deltas."""
        config = self.config
        pooled = pool(features, samples.boxes, samples.valid, config=config.pooling)
        scale = config.gradient_scale
        pooled = scale_gradient(pooled, 1 / len(config.stages) if scale is None else scale)
        logits, deltas = self.box_heads[stage.number](pooled)
        losses = sampled_box_losses(logits, deltas, samples, truth, config=stage.box)
        if stage.number < len(self.mask_heads):
            positives = only_positives(samples, num_classes=self.num_classes, config=stage.sampling)
            losses |= self.mask_heads[stage.number].loss(features, positives, truth, keys).terms
        return stage.named(losses), deltas
