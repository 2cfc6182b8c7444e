"""SOLOv2 (Wang et al., 2020, arXiv:2003.10152): objects by their place, without boxes or anchors.

    images -> backbone -> neck -> grids of cells, and mask features -> losses or detections

Each cell of a grid over the image predicts the class of the object whose middle is there, and the
kernel of a convolution which, applied to the mask features of the whole image, gives its mask.

Shapes: b images.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.losses import LossTerm, focal
from maskrcnn_jax.mask_features import MaskFeaturesConfig
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.pixels import PixelConfig, normalize
from maskrcnn_jax.solo.detections import SOLODetectionConfig, detect
from maskrcnn_jax.solo.head import Cells, SOLOHeadConfig
from maskrcnn_jax.solo.losses import mask_loss
from maskrcnn_jax.solo.targets import CellTargets, cell_targets, max_positives, rasterised
from maskrcnn_jax.structures import Batch, Detections

_MASK_WEIGHT = 3.0  # of the Dice loss (SOLO, section 3.3.2)


@dataclass(frozen=True, kw_only=True)
class SOLOv2Config:
    """``precision`` as in ``MaskRCNNConfig``."""

    num_classes: int
    pixels: PixelConfig = field(default_factory=PixelConfig)
    backbone: ResNetConfig = field(default_factory=ResNetConfig)
    neck: FPNConfig = field(default_factory=FPNConfig)
    head: SOLOHeadConfig = field(default_factory=SOLOHeadConfig)
    mask_features: MaskFeaturesConfig = field(default_factory=MaskFeaturesConfig)
    detections: SOLODetectionConfig = field(default_factory=SOLODetectionConfig)
    precision: Literal["float32", "bfloat16"] = "float32"

    def build(self) -> "SOLOv2":
        return SOLOv2(self)

    @property
    def has_masks(self) -> bool:
        return True

    @property
    def max_detections(self) -> int:
        """The most that are found in an image."""
        return self.detections.max_detections

    @property
    def paste(self) -> Literal["exact"]:
        """Masks are interpolated as they are."""
        return "exact"

    def frozen_modules(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the modules whose parameters are not trained."""
        return tuple(("backbone", name) for name in self.backbone.frozen_modules())


class SOLOv2(nn.Module):
    """``loss`` and ``predict`` own the same parameters; neither depends on a mode."""

    config: SOLOv2Config

    def setup(self):
        config = self.config
        self.backbone = config.backbone.build()
        self.neck = config.neck.build()
        self.head = config.head.build(config.num_classes, config.mask_features.outputs)
        self.mask_features = config.mask_features.build()

    def loss(self, batch: Batch, keys: Key[Array, " b"]) -> dict[str, LossTerm]:
        """Focal loss of all cells, Dice loss of the positive ones; both count the latter.

        Nothing is drawn: ``keys`` play no part. All images count.
        """
        del keys
        cells, mask_features = self._forward(batch)
        truth, (height, width) = batch.ground_truth, batch.images.shape[1:3]
        assign = partial(cell_targets, image_size=(height, width), grids=self.config.head.grids)
        targets = jax.vmap(assign)(truth)
        labels = jnp.take_along_axis(truth.labels, targets.matched, axis=1)
        labels = jnp.where(targets.positive, labels, self.config.num_classes)
        masks = self._mask_loss(cells, mask_features, batch, targets)
        return {"class": focal(cells.logits, labels), "mask": masks}

    def predict(self, batch: Batch) -> Detections:
        """Detections in the frame of the padded images."""
        cells, mask_features = self._forward(batch)
        for_one_image = partial(detect, grids=self.config.head.grids, config=self.config.detections)
        # One image after the other: the masks of its candidates take 130 MB at 800x1344.
        return jax.lax.map(
            lambda image: for_one_image(*image), (*cells, mask_features, batch.sizes)
        )

    def propose(self, batch: Batch) -> None:
        """There are no proposals: nothing is chosen before the detections are."""
        del batch

    def _forward(self, batch: Batch) -> tuple[Cells, Float[Array, "b h w e"]]:
        images = normalize(batch.images, batch.sizes, config=self.config.pixels)
        if self.config.precision == "bfloat16":
            images = images.astype(jnp.bfloat16)  # the heads end in float32
        features = self.neck(self.backbone(images))
        return self.head(features), self.mask_features(features)

    def _mask_loss(
        self, cells: Cells, mask_features: Array, batch: Batch, targets: CellTargets
    ) -> LossTerm:
        truth = batch.ground_truth
        most = max_positives(truth.labels.shape[1], grids=self.config.head.grids)

        def for_one_image(image) -> LossTerm:
            kernels, features, truth, targets = image
            objects = rasterised(truth, size=features.shape[:2])
            return mask_loss(kernels, features, objects, targets, max_positives=most)

        # One image after the other, so that groups of cells can be passed over.
        terms = jax.lax.map(for_one_image, (cells.kernels, mask_features, truth, targets))
        return LossTerm(terms.sum.sum(), terms.count.sum()).weighted(_MASK_WEIGHT)
