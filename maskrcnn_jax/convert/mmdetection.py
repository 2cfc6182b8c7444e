"""MMDetection: the names of its arrays, and the semantics of its standard models."""

import dataclasses

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert.naming import (
    CONV,
    LINEAR,
    POINTWISE,
    POINTWISE_1D,
    TRANSPOSED_CONV,
    Naming,
    Rule,
    counted_from_zero,
    norm,
    weight_and_bias,
)
from maskrcnn_jax.convert.torchvision import resnet_rules
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.pixels import PixelConfig
from maskrcnn_jax.roi.box_head import BoxHeadConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig, SubdivisionConfig
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.roi.semantic_targets import SemanticMapsConfig
from maskrcnn_jax.roi.stages import RefinementConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.rpn import RPNConfig
from maskrcnn_jax.solov2 import SOLOv2Config

_BOX, _MASK = "roi_head.bbox_head", "roi_head.mask_head"


def _box_head(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *weight_and_bias(f"{theirs}.shared_fcs.0", f"{ours}/fc1", LINEAR),
        *weight_and_bias(f"{theirs}.shared_fcs.1", f"{ours}/fc2", LINEAR),
        *weight_and_bias(f"{theirs}.fc_cls", f"{ours}/classes", LINEAR),
        *weight_and_bias(f"{theirs}.fc_reg", f"{ours}/deltas", LINEAR),
    )


def _mask_head(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *counted_from_zero(f"{theirs}.convs.{{i}}.conv", f"{ours}/conv{{i}}", CONV, ours_from=1),
        *weight_and_bias(f"{theirs}.upsample", f"{ours}/upsample", TRANSPOSED_CONV),
        *weight_and_bias(f"{theirs}.conv_logits", f"{ours}/predictor", POINTWISE),
    )


def _mask_iou_head(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *counted_from_zero(f"{theirs}.convs.{{i}}", f"{ours}/conv{{i}}", CONV, ours_from=1),
        *counted_from_zero(f"{theirs}.fcs.{{i}}", f"{ours}/fc{{i}}", LINEAR, ours_from=1),
        *weight_and_bias(f"{theirs}.fc_mask_iou", f"{ours}/predictor", LINEAR),
    )


def _semantic_head(theirs: str, ours: str) -> tuple[Rule, ...]:
    lateral = f"{theirs}.lateral_convs.{{i}}.conv", f"{ours}/lateral{{i}}"
    return (
        *counted_from_zero(*lateral, CONV, ours_from=2),
        *counted_from_zero(f"{theirs}.convs.{{i}}.conv", f"{ours}/conv{{i}}", CONV, ours_from=1),
        *weight_and_bias(f"{theirs}.conv_embedding.conv", f"{ours}/embedding", CONV),
        *weight_and_bias(f"{theirs}.conv_logits", f"{ours}/classes", POINTWISE),
    )


def _conv_with_norm(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{theirs}.conv.weight", f"{ours}/conv/kernel", CONV),
        *norm(f"{theirs}.gn", f"{ours}/norm"),
    )


def _solov2(theirs: str) -> tuple[Rule, ...]:
    features = f"{theirs}.mask_feature_head"
    return (
        *_conv_with_norm(f"{theirs}.cls_convs.{{i}}", "head/class_block{i}"),
        *_conv_with_norm(f"{theirs}.kernel_convs.{{i}}", "head/kernel_block{i}"),
        *weight_and_bias(f"{theirs}.conv_cls", "head/classes", CONV),
        *weight_and_bias(f"{theirs}.conv_kernel", "head/kernels", CONV),
        *(
            rule
            for i in range(4)
            for rule in _conv_with_norm(
                f"{features}.convs_all_levels.{i}.conv{{j}}",
                f"mask_features/level{i + 2}_block{{j}}",
            )
        ),
        *_conv_with_norm(f"{features}.conv_pred", "mask_features/predictor"),
    )


def _point_rend() -> tuple[Rule, ...]:
    coarse, point, ours = _MASK, "roi_head.point_head", "roi/mask_head"
    return (
        *weight_and_bias(f"{coarse}.downsample_conv.conv", f"{ours}/coarse/conv", CONV),
        *counted_from_zero(f"{coarse}.fcs.{{i}}", f"{ours}/coarse/fc{{i}}", LINEAR, ours_from=1),
        *weight_and_bias(f"{coarse}.fc_logits", f"{ours}/coarse/predictor", LINEAR),
        *counted_from_zero(
            f"{point}.fcs.{{i}}.conv", f"{ours}/point/fc{{i}}", POINTWISE_1D, ours_from=1
        ),
        *weight_and_bias(f"{point}.fc_logits", f"{ours}/point/predictor", POINTWISE_1D),
    )


NAMING = Naming(
    system="mmdetection",
    rules=(
        *resnet_rules("backbone."),
        *counted_from_zero("neck.lateral_convs.{i}.conv", "neck/lateral{i}", CONV, ours_from=2),
        *counted_from_zero("neck.fpn_convs.{i}.conv", "neck/output{i}", CONV, ours_from=2),
        *weight_and_bias("rpn_head.rpn_conv", "rpn/head/conv", CONV),
        *weight_and_bias("rpn_head.rpn_cls", "rpn/head/objectness", CONV),
        *weight_and_bias("rpn_head.rpn_reg", "rpn/head/deltas", CONV),
        *_box_head(_BOX, "roi/box_head"),
        *_mask_head(_MASK, "roi/mask_head"),
        *_mask_iou_head("roi_head.mask_iou_head", "roi/mask_head/iou"),
        *_point_rend(),
        *_box_head(f"{_BOX}.{{stage}}", "roi/box_heads_{stage}"),
        *_mask_head(f"{_MASK}.{{stage}}", "roi/mask_heads_{stage}"),
        *weight_and_bias(f"{_MASK}.{{stage}}.conv_res.conv", "roi/mask_heads_{stage}/flow", CONV),
        *_semantic_head("roi_head.semantic_head", "roi/semantic_head"),
        *_solov2("mask_head"),
    ),
    ignored=(r".*\.num_batches_tracked", r"data_preprocessor\."),
    cascade_masks="each",
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


def mask_scoring_model(
    *, num_classes: int = 80, backbone: ResNetConfig | None = None, caffe: bool = False
) -> MaskRCNNConfig:
    """Mask Scoring R-CNN as ``ms-rcnn_r50_fpn``; ``caffe`` as in ``model``.

    MMDetection cuts logits where this cuts probabilities at one half, see ``mask_iou_targets``.
    """
    plain = model(num_classes=num_classes, backbone=backbone, caffe=caffe)
    roi = dataclasses.replace(plain.roi, mask=MaskScoringConfig())
    return dataclasses.replace(plain, roi=roi)


def cascade_model(
    *, num_classes: int = 80, backbone: ResNetConfig | None = None, caffe: bool = False
) -> MaskRCNNConfig:
    """Cascade Mask R-CNN as ``cascade-mask-rcnn_r50_fpn``; ``caffe`` as in ``model``.

    In training MMDetection also ignores anchors that reach out of the image, which this does not.
    """
    plain = model(num_classes=num_classes, backbone=backbone, caffe=caffe)
    proposals = dataclasses.replace(plain.rpn.train_proposals, after_nms=2000)
    rpn = dataclasses.replace(plain.rpn, train_proposals=proposals, smooth_l1_beta=1 / 9)
    roi = CascadeRoIHeadConfig(
        box=BoxHeadConfig(class_agnostic=True, smooth_l1_beta=1.0),
        detections=plain.roi.detections,
        refinements=(
            RefinementConfig(
                positive_from=0.6, box_weights=(20.0, 20.0, 10.0, 10.0), loss_weight=0.5
            ),
            RefinementConfig(
                positive_from=0.7,
                box_weights=(1 / 0.033, 1 / 0.033, 1 / 0.067, 1 / 0.067),
                loss_weight=0.25,
            ),
        ),
        resample=True,
        averaged="logits",
        gradient_scale=1.0,
    )
    return dataclasses.replace(plain, rpn=rpn, roi=roi)


def htc_model(
    *,
    num_classes: int = 80,
    backbone: ResNetConfig | None = None,
    semantic: bool = True,
) -> MaskRCNNConfig:
    """Hybrid Task Cascade as ``htc_r50_fpn``; not ``semantic``, ``htc-without-semantic_r50_fpn``.

    Its training departs from MMDetection's as that of ``cascade_model`` does.
    """
    cascade = cascade_model(num_classes=num_classes, backbone=backbone)
    roi = HTCRoIHeadConfig(
        box=cascade.roi.box,
        semantic=SemanticHeadConfig(target=SemanticMapsConfig()) if semantic else None,
        detections=DetectionConfig(score_threshold=0.001, limit_shrinking=True),
        mask_stages="last",
    )
    return dataclasses.replace(cascade, roi=roi)


def solov2_model(*, num_classes: int = 80, backbone: ResNetConfig | None = None) -> SOLOv2Config:
    """SOLOv2 as ``solov2_r50_fpn``.

    In training MMDetection also trains a cell that is in the middle of several objects on all their
    masks, and divides the focal loss by one more than the number of positive cells.
    """
    backbone = dataclasses.replace(backbone or ResNetConfig(), stride_in_1x1=False)
    return SOLOv2Config(num_classes=num_classes, backbone=backbone)


def point_rend_model(
    *, num_classes: int = 80, backbone: ResNetConfig | None = None
) -> MaskRCNNConfig:
    """PointRend as ``point-rend_r50-caffe_fpn_ms-1x``; all its models have a Caffe backbone."""
    plain = model(num_classes=num_classes, backbone=backbone, caffe=True)
    mask = PointRendMaskHeadConfig(subdivision=SubdivisionConfig(points_in_float32=False))
    roi = dataclasses.replace(plain.roi, mask=mask)
    return dataclasses.replace(plain, roi=roi)
