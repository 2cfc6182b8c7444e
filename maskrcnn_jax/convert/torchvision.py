"""torchvision: the names of its arrays, and the semantics of ``maskrcnn_resnet50_fpn``."""

import dataclasses

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert.naming import (
    CONV,
    LINEAR,
    POINTWISE,
    TRANSPOSED_CONV,
    Naming,
    Rule,
    counted_from_zero,
    norm,
    weight_and_bias,
)
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.norms import FrozenBatchNormConfig
from maskrcnn_jax.roi.box_head import BoxHeadConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.rpn.anchors import AnchorConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.rpn import RPNConfig


def resnet_rules(prefix: str) -> tuple[Rule, ...]:
    """ResNet and ResNeXt, as torchvision and MMDetection name them."""
    rules = [
        Rule(f"{prefix}conv1.weight", "backbone/stem/conv/kernel", CONV),
        *norm(f"{prefix}bn1", "backbone/stem/norm"),
    ]
    for stage in (2, 3, 4, 5):
        theirs, ours = f"{prefix}layer{stage - 1}.{{block}}", f"backbone/res{stage}/block{{block}}"
        rules += [
            Rule(f"{theirs}.conv{{n}}.weight", f"{ours}/conv{{n}}/kernel", CONV),
            *norm(f"{theirs}.bn{{n}}", f"{ours}/norm{{n}}"),
            Rule(f"{theirs}.downsample.0.weight", f"{ours}/shortcut/kernel", CONV),
            *norm(f"{theirs}.downsample.1", f"{ours}/shortcut_norm"),
        ]
    return tuple(rules)


_FPN = "backbone.fpn"
_BOX, _PREDICTOR = "roi_heads.box_head", "roi_heads.box_predictor"

NAMING = Naming(
    system="torchvision",
    rules=(
        *resnet_rules("backbone.body."),
        *counted_from_zero(f"{_FPN}.inner_blocks.{{i}}.0", "neck/lateral{i}", CONV, ours_from=2),
        *counted_from_zero(f"{_FPN}.layer_blocks.{{i}}.0", "neck/output{i}", CONV, ours_from=2),
        *weight_and_bias("rpn.head.conv.0.0", "rpn/head/conv", CONV),
        *weight_and_bias("rpn.head.cls_logits", "rpn/head/objectness", CONV),
        *weight_and_bias("rpn.head.bbox_pred", "rpn/head/deltas", CONV),
        *weight_and_bias(f"{_BOX}.fc6", "roi/box_head/fc1", LINEAR),
        *weight_and_bias(f"{_BOX}.fc7", "roi/box_head/fc2", LINEAR),
        *weight_and_bias(f"{_PREDICTOR}.cls_score", "roi/box_head/classes", LINEAR),
        *weight_and_bias(f"{_PREDICTOR}.bbox_pred", "roi/box_head/deltas", LINEAR),
        *counted_from_zero("roi_heads.mask_head.{i}.0", "roi/mask_head/conv{i}", CONV, ours_from=1),
        *weight_and_bias(
            "roi_heads.mask_predictor.conv5_mask", "roi/mask_head/upsample", TRANSPOSED_CONV
        ),
        *weight_and_bias(
            "roi_heads.mask_predictor.mask_fcn_logits", "roi/mask_head/predictor", POINTWISE
        ),
    ),
    aliases=(
        *counted_from_zero(f"{_FPN}.inner_blocks.{{i}}", "neck/lateral{i}", CONV, ours_from=2),
        *counted_from_zero(f"{_FPN}.layer_blocks.{{i}}", "neck/output{i}", CONV, ours_from=2),
        *weight_and_bias("rpn.head.conv", "rpn/head/conv", CONV),
        *weight_and_bias("roi_heads.mask_head.mask_fcn{n}", "roi/mask_head/conv{n}", CONV),
    ),
    ignored=(r".*\.num_batches_tracked",),
    background_first=True,
)

# The files of ImageNet classifiers.
BACKBONE = Naming(
    system="torchvision backbone",
    rules=resnet_rules(""),
    ignored=(r"fc\.", r".*\.num_batches_tracked"),
)


def model(*, num_classes: int = 90, backbone: ResNetConfig | None = None) -> MaskRCNNConfig:
    """Mask R-CNN as ``torchvision.models.detection.maskrcnn_resnet50_fpn`` with its COCO weights.

    Label i is COCO's category i + 1. A ResNet-50 for COCO gets norms of epsilon 0, as torchvision
    sets it for the weights that it publishes; all others have 1e-5.
    """
    small = ProposalConfig(before_nms=1000, after_nms=1000, min_side=1e-3)
    pooling = {"samples_per_cell": 2, "half_pixel": False}
    backbone = backbone or ResNetConfig()
    is_published = num_classes == 90 and (backbone.depth, backbone.groups) == (50, 1)
    return MaskRCNNConfig(
        num_classes=num_classes,
        backbone=dataclasses.replace(
            backbone,
            stride_in_1x1=False,
            norm=FrozenBatchNormConfig(epsilon=0.0 if is_published else 1e-5),
        ),
        rpn=RPNConfig(
            anchors=AnchorConfig(like_torchvision=True),
            train_proposals=dataclasses.replace(small, before_nms=2000, after_nms=2000),
            test_proposals=small,
            smooth_l1_beta=1 / 9,
            divided_by="found",
        ),
        roi=StandardRoIHeadConfig(
            pooling=RoIAlignConfig(output_size=7, **pooling),
            box=BoxHeadConfig(background_deltas=True, smooth_l1_beta=1 / 9),
            mask=FCNMaskHeadConfig(
                pooling=RoIAlignConfig(output_size=14, **pooling),
                background_mask=True,
                targets=MaskTargetConfig(soft=True, half_pixel=False),
            ),
            detections=DetectionConfig(min_side=1e-2),
        ),
        paste="whole_pixels",
    )
