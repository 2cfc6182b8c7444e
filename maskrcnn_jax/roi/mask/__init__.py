"""Mask heads: what is inside the boxes, pixel by pixel.

A mask head has two verbs. ``loss(features, positives, truth, keys)`` takes samples that are all
positive where valid, and one key for each image, and returns ``MaskLosses``;
``predict(features, detections)`` fills in the masks of detections. The config of a head that is not
of this package is derived from ``MaskHeadConfig`` (``docs/new_mask_head.md``).
"""

from typing import TypeAlias

from maskrcnn_jax.roi.mask.boundary import BoundaryMaskHeadConfig
from maskrcnn_jax.roi.mask.dynamic import DynamicMaskHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.losses import MaskLosses
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from maskrcnn_jax.roi.mask.unwrapped import MaskHeadConfig, UnwrappedMaskHeadConfig

AnyMaskHeadConfig: TypeAlias = UnwrappedMaskHeadConfig | MaskScoringConfig

__all__ = [
    "AnyMaskHeadConfig",
    "BoundaryMaskHeadConfig",
    "DynamicMaskHeadConfig",
    "FCNMaskHeadConfig",
    "MaskHeadConfig",
    "MaskLosses",
    "MaskScoringConfig",
    "PointRendMaskHeadConfig",
    "UnwrappedMaskHeadConfig",
]
