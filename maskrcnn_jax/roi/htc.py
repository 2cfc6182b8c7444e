"""Hybrid Task Cascade (Chen et al., 2019, arXiv:1901.07518): boxes and masks refined in turn.

Each stage refines the boxes, and then finds masks in the refined boxes (interleaved execution). Its
mask head also sees what the one before has made of the same RoIs (mask information flow). A
semantic branch, if there is one, adds to the features of boxes and masks what surrounds them.

Shapes: b images, n RoIs of an image, o pooled side, k side of the mask, k1 classes with background.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float, Int, Key

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.roi.box_head import BoxHeadConfig, sampled_box_losses
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig, fcn_losses, with_masks
from maskrcnn_jax.roi.mask.htc import HTCMaskHead
from maskrcnn_jax.roi.mask.losses import positive_labels
from maskrcnn_jax.roi.mask.portions import in_portions
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.roi.sampling import (
    RoISamplingConfig,
    draw_rois,
    only_positives,
    refined_proposals,
)
from maskrcnn_jax.roi.semantic import SemanticHeadConfig, pool_semantic, semantic_losses
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
class HTCRoIHeadConfig:
    """``sampling`` and ``box`` are those of the first stage, from which ``refinements`` depart.

    ``semantic`` None leaves the semantic branch out. The masks of detections are the average of
    "all" ``mask_stages``, as in the authors' code, or those of the "last" one (MMDetection 3).
    """

    sampling: RoISamplingConfig = field(default_factory=RoISamplingConfig)
    pooling: PoolingConfig = field(default_factory=lambda: RoIAlignConfig(output_size=7))
    box: BoxHeadConfig = field(
        default_factory=lambda: BoxHeadConfig(class_agnostic=True, smooth_l1_beta=1.0)
    )
    mask: FCNMaskHeadConfig = field(default_factory=FCNMaskHeadConfig)
    semantic: SemanticHeadConfig | None = field(default_factory=SemanticHeadConfig)
    detections: DetectionConfig = field(
        default_factory=lambda: DetectionConfig(score_threshold=0.001)
    )
    refinements: tuple[RefinementConfig, ...] = (
        RefinementConfig(positive_from=0.6, box_weights=(20.0, 20.0, 10.0, 10.0), loss_weight=0.5),
        RefinementConfig(
            positive_from=0.7,
            box_weights=(1 / 0.033, 1 / 0.033, 1 / 0.067, 1 / 0.067),
            loss_weight=0.25,
        ),
    )
    mask_stages: Literal["all", "last"] = "all"

    def __post_init__(self):
        require_one_box(self.box)
        if self.semantic is None:
            return
        side = self.semantic.pooling.output_size
        for name, pooling in (("pooling", self.pooling), ("mask.pooling", self.mask.pooling)):
            if side % pooling.output_size:
                raise InputError(
                    f"roi.semantic.pooling.output_size is {side}, which must be a multiple of "
                    f"roi.{name}.output_size, {pooling.output_size}: cells are averaged"
                )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, the first to the last."""
        return all_stages(self.sampling, self.box, self.refinements)

    def build(self, num_classes: int) -> "HTCRoIHead":
        return HTCRoIHead(self, num_classes)


class _Maps(NamedTuple):
    """What RoIs are pooled from."""

    features: Features
    semantic: Float[Array, "b y x c"] | None


class HTCRoIHead(nn.Module):
    config: HTCRoIHeadConfig
    num_classes: int

    def setup(self):
        config, stages = self.config, self.config.stages
        self.box_heads = [stage.box.build(self.num_classes) for stage in stages]
        self.mask_heads = [HTCMaskHead(config.mask, self.num_classes) for _ in stages]
        if config.semantic is not None:
            self.semantic_head = config.semantic.build(self.num_classes)

    def loss(
        self,
        features: Features,
        proposals: Proposals,
        sizes: Int[Array, "b 2"],
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> dict[str, LossTerm]:
        """Losses of all stages, whose names end in the number of the stage; the semantic loss.

        A stage draws twice from its proposals: for the box head, and once refined for the mask
        head. The refined boxes are the next stage's proposals.
        """
        config, limit = self.config, self.config.detections.limit_shrinking
        maps, losses = _Maps(features, None), {}
        if config.semantic is not None:
            semantic = self.semantic_head(features)
            maps = _Maps(features, semantic.features)
            losses = semantic_losses(
                *(semantic.logits, truth, sizes),
                num_classes=self.num_classes,
                config=config.semantic,
            )
        split = partial(jax.random.split, num=(len(config.stages), 2))
        stage_keys = jax.vmap(split, out_axes=2)(keys)  # [stages, 2, b]
        for stage, (box_keys, mask_keys) in zip(config.stages, stage_keys, strict=True):
            again = partial(draw_rois, num_classes=self.num_classes, config=stage.sampling)
            samples = again(proposals, truth, box_keys)
            logits, deltas = self._look(maps, samples.boxes, samples.valid, stage)
            terms = sampled_box_losses(logits, deltas, samples, truth, config=stage.box)
            boxes = refine(deltas, samples.boxes, sizes, stage=stage, limit_shrinking=limit)
            proposals = jax.vmap(refined_proposals)(samples, boxes, truth)
            terms |= self._mask_losses(maps, again(proposals, truth, mask_keys), truth, stage)
            losses |= stage.named(terms)
        return losses

    def predict(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of the last stage after NMS, then the mask of each one's class."""
        maps = self._maps(features)
        return self._masks_of(maps, self._detect(maps, proposals, sizes))

    def detect(
        self, features: Features, proposals: Proposals, sizes: Int[Array, "b 2"]
    ) -> Detections:
        """Boxes of the last stage after NMS, without masks."""
        return self._detect(self._maps(features), proposals, sizes)

    def masks_of(self, features: Features, detections: Detections) -> Detections:
        """The detections, whatever their boxes come from, with their masks."""
        return self._masks_of(self._maps(features), detections)

    def _maps(self, features: Features) -> _Maps:
        if self.config.semantic is None:
            return _Maps(features, None)
        return _Maps(features, self.semantic_head(features).features)

    def _detect(self, maps: _Maps, proposals: Proposals, sizes: Int[Array, "b 2"]) -> Detections:
        return detect_in_stages(
            lambda boxes, stage: self._look(maps, boxes, proposals.valid, stage),
            *(proposals, sizes),
            stages=self.config.stages,
            averaged="logits",
            config=self.config.detections,
        )

    def _masks_of(self, maps: _Maps, detections: Detections) -> Detections:
        stages = self.config.stages
        if self.config.mask_stages == "last" and not self.is_initializing():
            stages = stages[-1:]
        logits = self._mask_logits(
            *(maps, detections.boxes, detections.valid, detections.labels), stages=stages
        )
        return average_masks([with_masks(detections, of_stage) for of_stage in logits])

    def _look(
        self, maps: _Maps, boxes: Float[Array, "b n 4"], valid: Bool[Array, "b n"], stage: Stage
    ) -> tuple[Float[Array, "b n k1"], Float[Array, "b n 4"]]:
        """Class logits and deltas of boxes."""
        return self.box_heads[stage.number](self._pool(maps, boxes, valid, self.config.pooling))

    def _mask_losses(
        self, maps: _Maps, samples: Samples, truth: GroundTruth, stage: Stage
    ) -> dict[str, LossTerm]:
        positives = only_positives(samples, num_classes=self.num_classes, config=stage.sampling)
        [logits] = self._mask_logits(
            *(maps, positives.boxes, positives.valid, positive_labels(positives)), stages=[stage]
        )
        return fcn_losses(logits, positives, truth, config=self.config.mask).terms

    def _mask_logits(
        self,
        maps: _Maps,
        boxes: Float[Array, "b n 4"],
        valid: Bool[Array, "b n"],
        labels: Int[Array, "b n"],
        *,
        stages: Sequence[Stage],
    ) -> list[Float[Array, "b*n k k"]]:
        """What ``stages`` make of the same RoIs, each with what the stages before it hand on."""
        numbers = [stage.number for stage in stages]

        def look(self: "HTCRoIHead", valid: Array, pooled: Array, labels: Array) -> list[Array]:
            found, before = [], None
            for number, head in enumerate(self.mask_heads[: max(numbers) + 1]):
                before = head.features(pooled, before, valid)
                if number in numbers:
                    found.append(head.logits(before, labels))
            return found

        pooled = self._pool(maps, boxes, valid, self.config.mask.pooling)
        return in_portions(look, self, valid, pooled, labels, norm=self.config.mask.norm)

    def _pool(
        self,
        maps: _Maps,
        boxes: Float[Array, "b n 4"],
        valid: Bool[Array, "b n"],
        config: PoolingConfig,
    ) -> Float[Array, "b n o o c"]:
        pooled = pool(maps.features, boxes, valid, config=config)
        if maps.semantic is None or self.config.semantic is None:
            return pooled
        return pooled + pool_semantic(
            *(maps.semantic, boxes, valid),
            side=config.output_size,
            config=self.config.semantic.pooling,
        )
