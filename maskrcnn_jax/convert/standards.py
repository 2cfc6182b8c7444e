"""The standard models of the systems, by kind: what weights are taken for unless they say more."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert import detectron2, imagenet, mmdetection, torchvision
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask import MaskScoringConfig, PointRendMaskHeadConfig
from maskrcnn_jax.solov2 import SOLOv2Config

Kind: TypeAlias = Literal["plain", "point_rend", "cascade", "hybrid", "solov2"]

_DETECTRON2, _MMDETECTION = detectron2.NAMING.system, mmdetection.NAMING.system

# By kind and system; each takes ``num_classes`` and ``backbone``.
STANDARDS: Mapping[Kind, Mapping[str, Callable[..., Any]]] = {
    "plain": {
        _DETECTRON2: detectron2.model,
        torchvision.NAMING.system: torchvision.model,
        _MMDETECTION: mmdetection.model,
    },
    "point_rend": {
        _DETECTRON2: detectron2.point_rend_model,
        _MMDETECTION: mmdetection.point_rend_model,
    },
    "cascade": {
        _DETECTRON2: detectron2.cascade_model,
        _MMDETECTION: mmdetection.cascade_model,
    },
    "hybrid": {_MMDETECTION: mmdetection.htc_model},
    "solov2": {_MMDETECTION: mmdetection.solov2_model},
}


def _for_folded(*, num_classes: int = 80, backbone: ResNetConfig | None = None) -> MaskRCNNConfig:
    """Most such files are Caffe's ResNets, with the stride in the first convolution of a block."""
    backbone = backbone or ResNetConfig()
    backbone = dataclasses.replace(backbone, stride_in_1x1=backbone.groups == 1)
    return MaskRCNNConfig(num_classes=num_classes, backbone=backbone)


# Models whose pixels and strides the weights of a backbone alone were made for, by their system.
FOR_BACKBONES: Mapping[str, Callable[..., Any]] = {
    **STANDARDS["plain"],
    detectron2.CAFFE2_BACKBONE.system: detectron2.model,
    detectron2.BACKBONE.system: torchvision.model,
    torchvision.BACKBONE.system: torchvision.model,
    imagenet.FOLDED_BACKBONE.system: _for_folded,
}


def kind_of(model: AnyDetectorConfig) -> Kind:
    """Of judged masks, that of the head that predicts them."""
    if isinstance(model, SOLOv2Config):
        return "solov2"
    if isinstance(model.roi, HTCRoIHeadConfig):
        return "hybrid"
    if isinstance(model.roi, CascadeRoIHeadConfig):
        return "cascade"
    mask = model.roi.mask
    mask = mask.head if isinstance(mask, MaskScoringConfig) else mask
    return "point_rend" if isinstance(mask, PointRendMaskHeadConfig) else "plain"
