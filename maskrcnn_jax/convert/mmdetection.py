"""MMDetection: the names of its arrays, and the semantics of ``mask-rcnn_r50_fpn``."""

import dataclasses

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert.naming import (
    CONV,
    LINEAR,
    POINTWISE,
    TRANSPOSED_CONV,
    Naming,
    counted_from_zero,
    weight_and_bias,
)
from maskrcnn_jax.convert.torchvision import resnet_rules
from maskrcnn_jax.maskrcnn import MaskRCNNConfig, PixelConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.rpn import RPNConfig

_BOX, _MASK = "roi_head.bbox_head", "roi_head.mask_head"

NAMING = Naming(
    system="mmdetection",
    rules=(
        *resnet_rules("backbone."),
        *counted_from_zero("neck.lateral_convs.{i}.conv", "neck/lateral{i}", CONV, ours_from=2),
        *counted_from_zero("neck.fpn_convs.{i}.conv", "neck/output{i}", CONV, ours_from=2),
        *weight_and_bias("rpn_head.rpn_conv", "rpn/head/conv", CONV),
        *weight_and_bias("rpn_head.rpn_cls", "rpn/head/objectness", CONV),
        *weight_and_bias("rpn_head.rpn_reg", "rpn/head/deltas", CONV),
        *weight_and_bias(f"{_BOX}.shared_fcs.0", "roi/box_head/fc1", LINEAR),
        *weight_and_bias(f"{_BOX}.shared_fcs.1", "roi/box_head/fc2", LINEAR),
        *weight_and_bias(f"{_BOX}.fc_cls", "roi/box_head/classes", LINEAR),
        *weight_and_bias(f"{_BOX}.fc_reg", "roi/box_head/deltas", LINEAR),
        *counted_from_zero(f"{_MASK}.convs.{{i}}.conv", "roi/mask_head/conv{i}", CONV, ours_from=1),
        *weight_and_bias(f"{_MASK}.upsample", "roi/mask_head/upsample", TRANSPOSED_CONV),
        *weight_and_bias(f"{_MASK}.conv_logits", "roi/mask_head/predictor", POINTWISE),
    ),
    ignored=(r".*\.num_batches_tracked", r"data_preprocessor\."),
)


def model(
    *, num_classes: int = 80, backbone: ResNetConfig | None = None, caffe: bool = False
) -> MaskRCNNConfig:
    """Mask R-CNN as ``mask-rcnn_r50_fpn``, or with ``caffe`` as ``mask-rcnn_r50-caffe_fpn``.

    A Caffe backbone sees BGR pixels of standard deviation 1 and has its stride in the first
    convolution of a block; the ResNeXt 32x8d sees BGR pixels too, of its own deviations. Training
    differs from MMDetection's: its matching of anchors to objects of low overlap and its trained
    affine transforms of frozen norms are not reproduced.
    """
    backbone = backbone or ResNetConfig()
    is_32x8d = (backbone.groups, backbone.width_per_group) == (32, 8)
    proposals = ProposalConfig(before_nms=1000, after_nms=1000, limit_shrinking=True)
    std = (57.375, 57.12, 58.395) if is_32x8d else (1.0, 1.0, 1.0)
    bgr = PixelConfig(order="bgr", mean=(103.53, 116.28, 123.675), std=std)
    return MaskRCNNConfig(
        num_classes=num_classes,
        pixels=bgr if caffe or is_32x8d else PixelConfig(),
        backbone=dataclasses.replace(backbone, stride_in_1x1=caffe),
        rpn=RPNConfig(
            train_proposals=dataclasses.replace(proposals, before_nms=2000),
            test_proposals=proposals,
            divided_by="found",
        ),
        roi=StandardRoIHeadConfig(detections=DetectionConfig(limit_shrinking=True)),
    )
