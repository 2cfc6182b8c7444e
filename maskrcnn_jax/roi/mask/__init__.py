"""Mask heads: what is inside the boxes, pixel by pixel.

A mask head has two verbs. ``loss(features, positives, truth, keys)`` takes samples that are all
positive where valid, and one key for each image, and returns ``MaskLosses``;
``predict(features, detections)`` fills in the masks of detections.
"""

from typing import TypeAlias

from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.losses import MaskLosses
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig

AnyMaskHeadConfig: TypeAlias = FCNMaskHeadConfig | PointRendMaskHeadConfig

__all__ = ["AnyMaskHeadConfig", "FCNMaskHeadConfig", "MaskLosses", "PointRendMaskHeadConfig"]
