"""Mask R-CNN (He et al., 2017): the whole detector, one line for each arrow of the figure.

    images -> backbone -> neck -> rpn -> roi head -> losses or detections

Shapes: b images.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.pixels import PixelConfig, normalize
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.rpn.rpn import RPNConfig
from maskrcnn_jax.structures import Batch, Detections, Features, Proposals

# Padded image sides are multiples of this: the coarsest stride of the backbone.
SIZE_MULTIPLE = 32

AnyRoIHeadConfig: TypeAlias = StandardRoIHeadConfig | CascadeRoIHeadConfig | HTCRoIHeadConfig


@dataclass(frozen=True, kw_only=True)
class MaskRCNNConfig:
    """``paste`` says how a predicted mask is put into the image.

    "exact" samples it at the centres of the pixels under the box as it is; "whole_pixels" stretches
    it over the box rounded outwards, as torchvision does.

    With ``precision`` "bfloat16" the backbone, the neck and the heads but for their last layers
    compute in it. Parameters, gradients, boxes, losses and NMS are float32 always.
    """

    num_classes: int
    pixels: PixelConfig = field(default_factory=PixelConfig)
    backbone: ResNetConfig = field(default_factory=ResNetConfig)
    neck: FPNConfig = field(default_factory=FPNConfig)
    rpn: RPNConfig = field(default_factory=RPNConfig)
    roi: AnyRoIHeadConfig = field(default_factory=StandardRoIHeadConfig)
    paste: Literal["exact", "whole_pixels"] = "exact"
    precision: Literal["float32", "bfloat16"] = "float32"

    def build(self) -> "MaskRCNN":
        return MaskRCNN(self)

    @property
    def has_masks(self) -> bool:
        return self.roi.mask is not None

    @property
    def max_detections(self) -> int:
        """The most that are found in an image."""
        return self.roi.detections.max_detections

    def frozen_modules(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the modules whose parameters are not trained."""
        return tuple(("backbone", name) for name in self.backbone.frozen_modules())


class MaskRCNN(nn.Module):
    """``loss`` and ``predict`` own the same parameters; neither depends on a mode."""

    config: MaskRCNNConfig

    def setup(self):
        self.backbone = self.config.backbone.build()
        self.neck = self.config.neck.build()
        self.rpn = self.config.rpn.build()
        self.roi = self.config.roi.build(self.config.num_classes)

    def loss(self, batch: Batch, keys: Key[Array, " b"]) -> dict[str, LossTerm]:
        """The terms of the loss, to be divided by their counts and added; one key per image.

        All images count: training batches are always full.
        """
        rpn_keys, roi_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
        features = self.features(batch)
        truth = batch.ground_truth
        rpn_losses, proposals = self.rpn.loss(features, batch.sizes, truth, rpn_keys)
        return rpn_losses | self.roi.loss(features, proposals, batch.sizes, truth, roi_keys)

    def predict(self, batch: Batch) -> Detections:
        """Detections in the frame of the padded images."""
        features = self.features(batch)
        proposals = self.rpn.predict(features, batch.sizes)
        return self.roi.predict(features, proposals, batch.sizes)

    def propose(self, batch: Batch) -> Proposals:
        """What the RoI head gets to see in ``predict``, for those who want to look inside."""
        return self.rpn.predict(self.features(batch), batch.sizes)

    def detect(self, features: Features, sizes: Int[Array, "b 2"]) -> Detections:
        """``predict`` without masks, from features that are there already."""
        return self.roi.detect(features, self.rpn.predict(features, sizes), sizes)

    def masks_of(self, features: Features, detections: Detections) -> Detections:
        """The detections with masks, whatever their boxes come from."""
        return self.roi.masks_of(features, detections)

    def features(self, batch: Batch) -> dict[int, Array]:
        """The pyramid of feature maps that everything after it looks at."""
        images = normalize(batch.images, batch.sizes, config=self.config.pixels)
        if self.config.precision == "bfloat16":
            images = images.astype(jnp.bfloat16)  # each head ends in float32
        return self.neck(self.backbone(images))
