"""Detectron2: the names of its arrays, and the semantics of its standard models."""

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
    norm,
    weight_and_bias,
)
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.pixels import PixelConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def _resnet(prefix: str) -> tuple[Rule, ...]:
    block, ours = f"{prefix}res{{stage}}.{{block}}", "backbone/res{stage}/block{block}"
    return (
        Rule(f"{prefix}stem.conv1.weight", "backbone/stem/conv/kernel", CONV),
        *norm(f"{prefix}stem.conv1.norm", "backbone/stem/norm"),
        Rule(f"{block}.conv{{n}}.weight", f"{ours}/conv{{n}}/kernel", CONV),
        *norm(f"{block}.conv{{n}}.norm", f"{ours}/norm{{n}}"),
        Rule(f"{block}.shortcut.weight", f"{ours}/shortcut/kernel", CONV),
        *norm(f"{block}.shortcut.norm", f"{ours}/shortcut_norm"),
    )


_RPN, _BOX, _MASK = "proposal_generator.rpn_head", "roi_heads.box_head", "roi_heads.mask_head"
_PREDICTOR = "roi_heads.box_predictor"


def _box_head(stage: str, ours: str) -> tuple[Rule, ...]:
    """One box head; ``stage`` is what its names have more in a cascade."""
    return (
        *weight_and_bias(f"{_BOX}{stage}.fc{{n}}", f"{ours}/fc{{n}}", LINEAR),
        *weight_and_bias(f"{_PREDICTOR}{stage}.cls_score", f"{ours}/classes", LINEAR),
        *weight_and_bias(f"{_PREDICTOR}{stage}.bbox_pred", f"{ours}/deltas", LINEAR),
    )


def _point_rend(coarse: str, point: str) -> tuple[Rule, ...]:
    """The heads of PointRend (projects/PointRend) by the names of their modules."""
    ours = "roi/mask_head"
    return (
        *weight_and_bias(f"{coarse}.reduce_spatial_dim_conv", f"{ours}/coarse/conv", CONV),
        *weight_and_bias(f"{coarse}.fc{{n}}", f"{ours}/coarse/fc{{n}}", LINEAR),
        *weight_and_bias(f"{coarse}.prediction", f"{ours}/coarse/predictor", LINEAR),
        *weight_and_bias(f"{point}.fc{{n}}", f"{ours}/point/fc{{n}}", POINTWISE_1D),
        *weight_and_bias(f"{point}.predictor", f"{ours}/point/predictor", POINTWISE_1D),
    )


NAMING = Naming(
    system="detectron2",
    rules=(
        *_resnet("backbone.bottom_up."),
        *weight_and_bias("backbone.fpn_lateral{level}", "neck/lateral{level}", CONV),
        *weight_and_bias("backbone.fpn_output{level}", "neck/output{level}", CONV),
        *norm("backbone.fpn_lateral{level}.norm", "neck/lateral{level}_norm"),
        *norm("backbone.fpn_output{level}.norm", "neck/output{level}_norm"),
        *weight_and_bias(f"{_RPN}.conv", "rpn/head/conv", CONV),
        *weight_and_bias(f"{_RPN}.objectness_logits", "rpn/head/objectness", CONV),
        *weight_and_bias(f"{_RPN}.anchor_deltas", "rpn/head/deltas", CONV),
        *_box_head("", "roi/box_head"),
        *_box_head(".{stage}", "roi/box_heads_{stage}"),
        *weight_and_bias(f"{_MASK}.mask_fcn{{n}}", "roi/mask_head/conv{n}", CONV),
        *norm(f"{_MASK}.mask_fcn{{n}}.norm", "roi/mask_head/norm{n}"),
        *weight_and_bias(f"{_MASK}.deconv", "roi/mask_head/upsample", TRANSPOSED_CONV),
        *weight_and_bias(f"{_MASK}.predictor", "roi/mask_head/predictor", POINTWISE),
        *_point_rend(f"{_MASK}.coarse_head", f"{_MASK}.point_head"),
    ),
    aliases=(
        *_point_rend("roi_heads.mask_coarse_head", "roi_heads.mask_point_head"),
        *weight_and_bias(
            "roi_heads.mask_coarse_head.coarse_mask_fc{n}", "roi/mask_head/coarse/fc{n}", LINEAR
        ),
    ),
    ignored=(
        *("pixel_mean", "pixel_std", r"proposal_generator\.anchor_generator\."),
        r".*\.num_batches_tracked",
    ),
    cascade_masks="one",
)

# ImageNet backbones of torchvision that its script convert-torchvision-to-d2.py has renamed.
BACKBONE = Naming(
    system="torchvision backbone in Detectron2's names",
    rules=_resnet(""),
    ignored=(r"(stem\.)?(linear|fc)\.", r".*\.num_batches_tracked"),
)


def _caffe2_norm(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Norms with statistics, or (s, b) with these folded into the affine transform."""
    names = {
        "scale": ("gamma", "s"),
        "bias": ("beta", "b"),
        "mean": ("running_mean", "rm"),
        "var": ("running_var", "riv"),
    }
    return tuple(
        Rule(f"{theirs}_{name}", f"{ours}/{leaf}") for leaf, both in names.items() for name in both
    )


def _caffe2_block() -> tuple[Rule, ...]:
    rules = []
    for branch, conv, norm_name in (
        *(("1", "shortcut", "shortcut_norm"), ("2a", "conv1", "norm1")),
        *(("2b", "conv2", "norm2"), ("2c", "conv3", "norm3")),
    ):
        theirs = f"res{{stage}}_{{block}}_branch{branch}"
        ours = "backbone/res{stage}/block{block}"
        rules += [Rule(f"{theirs}_w", f"{ours}/{conv}/kernel", CONV)]
        rules += _caffe2_norm(f"{theirs}_bn", f"{ours}/{norm_name}")
    return tuple(rules)


# The ImageNet backbones of Detectron2's model zoo (R-50.pkl, X-101-32x8d.pkl), which keep the names
# of Caffe2 (detectron2, checkpoint/c2_model_loading.py).
CAFFE2_BACKBONE = Naming(
    system="Caffe2 backbone",
    rules=(
        Rule("conv1_w", "backbone/stem/conv/kernel", CONV),
        *_caffe2_norm("res_conv1_bn", "backbone/stem/norm"),
        *_caffe2_block(),
    ),
    ignored=("conv1_b$", r"fc\d+_", "pred_", ".*_momentum$"),
)


def model(*, num_classes: int = 80, backbone: ResNetConfig | None = None) -> MaskRCNNConfig:
    """Mask R-CNN as in Detectron2's COCO-InstanceSegmentation models.

    The backbone has its stride in the first convolution of a block, a ResNeXt in the 3x3 one. All
    else is this project's default.
    """
    backbone = backbone or ResNetConfig()
    is_resnext = backbone.groups > 1
    std = (57.375, 57.12, 58.395) if is_resnext else (1.0, 1.0, 1.0)
    return MaskRCNNConfig(
        num_classes=num_classes,
        pixels=PixelConfig(order="bgr", mean=(103.53, 116.28, 123.675), std=std),
        backbone=dataclasses.replace(backbone, stride_in_1x1=not is_resnext),
    )


def cascade_model(*, num_classes: int = 80, backbone: ResNetConfig | None = None) -> MaskRCNNConfig:
    """Cascade Mask R-CNN as in Detectron2's ``Misc/cascade_mask_rcnn_R_50_FPN_3x``."""
    plain = model(num_classes=num_classes, backbone=backbone)
    proposals = dataclasses.replace(plain.rpn.train_proposals, after_nms=2000)
    rpn = dataclasses.replace(plain.rpn, train_proposals=proposals)
    return dataclasses.replace(plain, rpn=rpn, roi=CascadeRoIHeadConfig())


def point_rend_model(
    *, num_classes: int = 80, backbone: ResNetConfig | None = None
) -> MaskRCNNConfig:
    """PointRend as in Detectron2's ``pointrend_rcnn_R_50_FPN_3x_coco``."""
    plain = model(num_classes=num_classes, backbone=backbone)
    roi = StandardRoIHeadConfig(mask=PointRendMaskHeadConfig(), masks_on_refined_boxes=True)
    return dataclasses.replace(plain, roi=roi)
