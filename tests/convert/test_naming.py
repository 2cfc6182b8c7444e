"""Names and layouts, held against lists written by hand from the systems' own documentation."""

import json

import numpy as np
import pytest

from maskrcnn_jax.convert import detectron2, mmdetection, torchvision
from maskrcnn_jax.convert.weights import NAMINGS
from maskrcnn_jax.errors import InputError
from tests.convert.models import (
    CASCADES,
    POINT_RENDS,
    SYSTEMS,
    canonical,
    random_variables,
    small_cascade,
    small_hybrid,
    small_model,
    small_point_rend,
    small_scoring,
    state_dict,
)

# Canonical name: Detectron2, torchvision, MMDetection.
NAMES = {
    "backbone/stem/conv/kernel": (
        "backbone.bottom_up.stem.conv1.weight",
        "backbone.body.conv1.weight",
        "backbone.conv1.weight",
    ),
    "backbone/stem/norm/mean": (
        "backbone.bottom_up.stem.conv1.norm.running_mean",
        "backbone.body.bn1.running_mean",
        "backbone.bn1.running_mean",
    ),
    "backbone/res2/block0/shortcut/kernel": (
        "backbone.bottom_up.res2.0.shortcut.weight",
        "backbone.body.layer1.0.downsample.0.weight",
        "backbone.layer1.0.downsample.0.weight",
    ),
    "backbone/res2/block0/shortcut_norm/var": (
        "backbone.bottom_up.res2.0.shortcut.norm.running_var",
        "backbone.body.layer1.0.downsample.1.running_var",
        "backbone.layer1.0.downsample.1.running_var",
    ),
    "backbone/res4/block22/conv3/kernel": (
        "backbone.bottom_up.res4.22.conv3.weight",
        "backbone.body.layer3.22.conv3.weight",
        "backbone.layer3.22.conv3.weight",
    ),
    "backbone/res5/block2/norm1/scale": (
        "backbone.bottom_up.res5.2.conv1.norm.weight",
        "backbone.body.layer4.2.bn1.weight",
        "backbone.layer4.2.bn1.weight",
    ),
    "neck/lateral2/bias": (
        "backbone.fpn_lateral2.bias",
        "backbone.fpn.inner_blocks.0.0.bias",
        "neck.lateral_convs.0.conv.bias",
    ),
    "neck/output5/kernel": (
        "backbone.fpn_output5.weight",
        "backbone.fpn.layer_blocks.3.0.weight",
        "neck.fpn_convs.3.conv.weight",
    ),
    "rpn/head/conv/kernel": (
        "proposal_generator.rpn_head.conv.weight",
        "rpn.head.conv.0.0.weight",
        "rpn_head.rpn_conv.weight",
    ),
    "rpn/head/objectness/bias": (
        "proposal_generator.rpn_head.objectness_logits.bias",
        "rpn.head.cls_logits.bias",
        "rpn_head.rpn_cls.bias",
    ),
    "rpn/head/deltas/kernel": (
        "proposal_generator.rpn_head.anchor_deltas.weight",
        "rpn.head.bbox_pred.weight",
        "rpn_head.rpn_reg.weight",
    ),
    "roi/box_head/fc1/kernel": (
        "roi_heads.box_head.fc1.weight",
        "roi_heads.box_head.fc6.weight",
        "roi_head.bbox_head.shared_fcs.0.weight",
    ),
    "roi/box_head/fc2/bias": (
        "roi_heads.box_head.fc2.bias",
        "roi_heads.box_head.fc7.bias",
        "roi_head.bbox_head.shared_fcs.1.bias",
    ),
    "roi/box_head/classes/kernel": (
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.box_predictor.cls_score.weight",
        "roi_head.bbox_head.fc_cls.weight",
    ),
    "roi/box_head/deltas/bias": (
        "roi_heads.box_predictor.bbox_pred.bias",
        "roi_heads.box_predictor.bbox_pred.bias",
        "roi_head.bbox_head.fc_reg.bias",
    ),
    "roi/mask_head/conv4/kernel": (
        "roi_heads.mask_head.mask_fcn4.weight",
        "roi_heads.mask_head.3.0.weight",
        "roi_head.mask_head.convs.3.conv.weight",
    ),
    "roi/mask_head/upsample/kernel": (
        "roi_heads.mask_head.deconv.weight",
        "roi_heads.mask_predictor.conv5_mask.weight",
        "roi_head.mask_head.upsample.weight",
    ),
    "roi/mask_head/predictor/bias": (
        "roi_heads.mask_head.predictor.bias",
        "roi_heads.mask_predictor.mask_fcn_logits.bias",
        "roi_head.mask_head.conv_logits.bias",
    ),
}
# Canonical name: Detectron2, MMDetection; None where a cascade of that system has no such part.
CASCADE_NAMES = {
    "roi/box_heads_0/fc1/kernel": (
        "roi_heads.box_head.0.fc1.weight",
        "roi_head.bbox_head.0.shared_fcs.0.weight",
    ),
    "roi/box_heads_1/fc2/bias": (
        "roi_heads.box_head.1.fc2.bias",
        "roi_head.bbox_head.1.shared_fcs.1.bias",
    ),
    "roi/box_heads_2/classes/kernel": (
        "roi_heads.box_predictor.2.cls_score.weight",
        "roi_head.bbox_head.2.fc_cls.weight",
    ),
    "roi/box_heads_0/deltas/bias": (
        "roi_heads.box_predictor.0.bbox_pred.bias",
        "roi_head.bbox_head.0.fc_reg.bias",
    ),
    "roi/mask_heads_1/conv4/kernel": (None, "roi_head.mask_head.1.convs.3.conv.weight"),
    "roi/mask_heads_2/upsample/bias": (None, "roi_head.mask_head.2.upsample.bias"),
    "roi/mask_heads_0/predictor/kernel": (None, "roi_head.mask_head.0.conv_logits.weight"),
    "roi/mask_heads_1/flow/kernel": (None, "roi_head.mask_head.1.conv_res.conv.weight"),
    "roi/semantic_head/lateral6/bias": (None, "roi_head.semantic_head.lateral_convs.4.conv.bias"),
    "roi/semantic_head/conv1/kernel": (None, "roi_head.semantic_head.convs.0.conv.weight"),
    "roi/semantic_head/embedding/bias": (None, "roi_head.semantic_head.conv_embedding.conv.bias"),
    "roi/semantic_head/classes/kernel": (None, "roi_head.semantic_head.conv_logits.weight"),
}
# Canonical name: MMDetection, the only system that has such a head.
SCORING_NAMES = {
    "roi/mask_head/conv4/kernel": "roi_head.mask_head.convs.3.conv.weight",
    "roi/mask_head/iou/conv1/kernel": "roi_head.mask_iou_head.convs.0.weight",
    "roi/mask_head/iou/fc2/bias": "roi_head.mask_iou_head.fcs.1.bias",
    "roi/mask_head/iou/predictor/kernel": "roi_head.mask_iou_head.fc_mask_iou.weight",
}
# Canonical name: Detectron2, MMDetection.
POINT_REND_NAMES = {
    "roi/mask_head/coarse/conv/kernel": (
        "roi_heads.mask_head.coarse_head.reduce_spatial_dim_conv.weight",
        "roi_head.mask_head.downsample_conv.conv.weight",
    ),
    "roi/mask_head/coarse/fc1/kernel": (
        "roi_heads.mask_head.coarse_head.fc1.weight",
        "roi_head.mask_head.fcs.0.weight",
    ),
    "roi/mask_head/coarse/fc2/bias": (
        "roi_heads.mask_head.coarse_head.fc2.bias",
        "roi_head.mask_head.fcs.1.bias",
    ),
    "roi/mask_head/coarse/predictor/bias": (
        "roi_heads.mask_head.coarse_head.prediction.bias",
        "roi_head.mask_head.fc_logits.bias",
    ),
    "roi/mask_head/point/fc3/kernel": (
        "roi_heads.mask_head.point_head.fc3.weight",
        "roi_head.point_head.fcs.2.conv.weight",
    ),
    "roi/mask_head/point/predictor/kernel": (
        "roi_heads.mask_head.point_head.predictor.weight",
        "roi_head.point_head.fc_logits.weight",
    ),
}
OLDER_DETECTRON2 = {
    "roi_heads.mask_coarse_head.reduce_spatial_dim_conv.bias": "roi/mask_head/coarse/conv/bias",
    "roi_heads.mask_coarse_head.coarse_mask_fc1.weight": "roi/mask_head/coarse/fc1/kernel",
    "roi_heads.mask_coarse_head.prediction.weight": "roi/mask_head/coarse/predictor/kernel",
    "roi_heads.mask_point_head.fc2.bias": "roi/mask_head/point/fc2/bias",
}
OLDER_TORCHVISION = {
    "backbone.fpn.inner_blocks.1.weight": "neck/lateral3/kernel",
    "backbone.fpn.layer_blocks.3.bias": "neck/output5/bias",
    "rpn.head.conv.weight": "rpn/head/conv/kernel",
    "roi_heads.mask_head.mask_fcn1.bias": "roi/mask_head/conv1/bias",
}


@pytest.mark.parametrize("ours", NAMES)
def test_names_of_the_three_systems(ours):
    for module, theirs in zip((detectron2, torchvision, mmdetection), NAMES[ours], strict=True):
        assert module.NAMING.canonical_name(theirs) == ours
        assert module.NAMING.their_name(ours) == theirs


@pytest.mark.parametrize("ours", CASCADE_NAMES)
def test_names_of_cascades(ours):
    for module, theirs in zip((detectron2, mmdetection), CASCADE_NAMES[ours], strict=True):
        assert module.NAMING.their_name(ours) == theirs
        if theirs is not None:
            assert module.NAMING.canonical_name(theirs) == ours
    assert torchvision.NAMING.their_name(ours) is None


@pytest.mark.parametrize("ours", SCORING_NAMES)
def test_names_of_the_head_that_judges_masks(ours):
    assert mmdetection.NAMING.their_name(ours) == SCORING_NAMES[ours]
    assert mmdetection.NAMING.canonical_name(SCORING_NAMES[ours]) == ours


@pytest.mark.parametrize("ours", POINT_REND_NAMES)
def test_names_of_point_rend(ours):
    for module, theirs in zip((detectron2, mmdetection), POINT_REND_NAMES[ours], strict=True):
        assert module.NAMING.canonical_name(theirs) == ours
        assert module.NAMING.their_name(ours) == theirs
    assert torchvision.NAMING.their_name(ours) is None


@pytest.mark.parametrize(
    ("module", "older"), [(torchvision, OLDER_TORCHVISION), (detectron2, OLDER_DETECTRON2)]
)
def test_older_names_are_read_but_not_written(module, older):
    for theirs, ours in older.items():
        assert module.NAMING.canonical_name(theirs) == ours
        assert module.NAMING.their_name(ours) != theirs


def test_names_of_imagenet_backbones():
    folded, bn, d2 = (
        next(naming for naming in NAMINGS if naming.system == system)
        for system in (
            "ImageNet backbone with folded norms",
            "torchvision backbone",
            "torchvision backbone in Detectron2's names",
        )
    )
    assert folded.canonical_name("layer2.1.conv3.bias") == "backbone/res3/block1/norm3/bias"
    assert bn.canonical_name("layer2.1.bn3.bias") == "backbone/res3/block1/norm3/bias"
    assert d2.canonical_name("res3.1.conv3.norm.bias") == "backbone/res3/block1/norm3/bias"
    assert all(naming.is_ignored("fc.weight") for naming in (folded, bn))


@pytest.mark.parametrize("system", SYSTEMS)
def test_there_and_back_gives_every_array_bit_for_bit(system):
    naming = SYSTEMS[system].NAMING
    ours = canonical(random_variables(small_model(background=naming.background_first)))
    theirs = naming.to_theirs(ours)
    assert len(theirs) == len(ours)
    back = naming.to_ours(theirs)
    assert back.keys() == ours.keys()
    for name, x in ours.items():
        np.testing.assert_array_equal(back[name], x, err_msg=name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_import_then_export_gives_the_same_bytes(system):
    naming = SYSTEMS[system].NAMING
    theirs = state_dict(system, small_model(background=naming.background_first))
    again = naming.to_theirs(naming.to_ours(theirs))
    assert {n: (x.shape, x.tobytes()) for n, x in again.items()} == {
        n: (x.shape, x.tobytes()) for n, x in theirs.items()
    }


@pytest.mark.parametrize(
    ("system", "model"),
    [
        *((system, small_cascade(system)) for system in CASCADES),
        ("mmdetection", small_hybrid()),
        *((system, small_point_rend()) for system in POINT_RENDS),
    ],
    ids=[*(f"{s}-cascade" for s in CASCADES), "hybrid", *(f"{s}-point-rend" for s in POINT_RENDS)],
)
def test_a_variant_comes_in_and_goes_out_with_the_same_bytes(system, model):
    naming = SYSTEMS[system].NAMING
    ours = canonical(random_variables(model))
    theirs = naming.to_theirs(ours)
    assert len(theirs) == len(ours)
    back = naming.to_ours(theirs)
    assert back.keys() == ours.keys()
    for name, x in ours.items():
        np.testing.assert_array_equal(back[name], x, err_msg=name)
    again = naming.to_theirs(back)
    assert {n: (x.shape, x.tobytes()) for n, x in again.items()} == {
        n: (x.shape, x.tobytes()) for n, x in theirs.items()
    }


def test_judges_of_masks_come_in_and_go_out_with_the_same_bytes():
    ours = canonical(random_variables(small_scoring()))
    theirs = mmdetection.NAMING.to_theirs(ours)
    back = mmdetection.NAMING.to_ours(theirs)
    assert back.keys() == ours.keys()
    for name, x in ours.items():
        np.testing.assert_array_equal(back[name], x, err_msg=name)
    again = mmdetection.NAMING.to_theirs(back)
    assert {n: (x.shape, x.tobytes()) for n, x in again.items()} == {
        n: (x.shape, x.tobytes()) for n, x in theirs.items()
    }
    for module in (detectron2, torchvision):
        with pytest.raises(InputError, match="has no name for roi/mask_head/iou/"):
            module.NAMING.to_theirs(ours)


def test_a_system_without_such_cascades_refuses_them():
    for system, other, message in (
        ("detectron2", torchvision, "torchvision has no cascades"),
        ("mmdetection", torchvision, "torchvision has no cascades"),
        ("detectron2", mmdetection, "has a mask head in each stage, this one has one mask head"),
        ("mmdetection", detectron2, "has one mask head, this one has a mask head in each stage"),
    ):
        tensors = canonical(random_variables(small_cascade(system)))
        with pytest.raises(InputError, match=message):
            other.NAMING.to_theirs(tensors)
        boxes = {name: x for name, x in tensors.items() if "mask_head" not in name}
        if other is not torchvision:
            assert len(other.NAMING.to_theirs(boxes)) == len(boxes)


@pytest.mark.parametrize("part", ["flow", "semantic_head"])
@pytest.mark.parametrize("module", [detectron2, torchvision])
def test_a_system_without_hybrid_task_cascades_refuses_them(module, part):
    tensors = canonical(random_variables(small_hybrid()))
    other = {"flow": "semantic_head", "semantic_head": "flow"}[part]
    tensors = {name: x for name, x in tensors.items() if other not in name}
    with pytest.raises(InputError, match="has no Hybrid Task Cascade"):
        module.NAMING.to_theirs(tensors)


@pytest.mark.parametrize(
    ("golden", "module"),
    [
        ("detectron2_mask_rcnn_R_50_FPN_3x_a", detectron2),
        ("mmdet_mask_rcnn_r50_fpn_1x", mmdetection),
        ("detectron2_cascade_mask_rcnn_R_50_FPN_3x", detectron2),
        ("mmdet_cascade_mask_rcnn_r50_fpn_1x", mmdetection),
        ("mmdet_ms_rcnn_r50_caffe_fpn_1x", mmdetection),
        ("mmdet_htc_r50_fpn_1x", mmdetection),
        ("detectron2_pointrend_R_50_FPN_3x", detectron2),
        ("mmdet_point_rend_r50_caffe_fpn_1x", mmdetection),
    ],
)
def test_every_name_of_a_real_model_has_a_place(shared, golden, module):
    shapes = json.loads((shared / "golden" / f"{golden}.shapes.json").read_text())
    places = {name: module.NAMING.canonical_name(name) for name in shapes}
    assert None not in places.values()
    assert len(set(places.values())) == len(shapes)
    assert all(module.NAMING.their_name(ours) == name for name, ours in places.items())


def test_layouts():
    """PyTorch: OIHW, [out, in], [in, out, kH, kW]; here HWIO, [in, out], [kH, kW, in, out]."""
    rng = np.random.default_rng(0)
    conv = rng.standard_normal((16, 16, 3, 3))
    deconv, predictor = rng.standard_normal((16, 7, 2, 2)), rng.standard_normal((3, 16, 1, 1))
    fc1 = rng.standard_normal((8, 16 * 49))
    ours = detectron2.NAMING.to_ours(
        {
            "proposal_generator.rpn_head.conv.weight": conv,
            "roi_heads.mask_head.deconv.weight": deconv,
            "roi_heads.mask_head.predictor.weight": predictor,
            "roi_heads.box_head.fc1.weight": fc1,
            "backbone.fpn_output2.weight": rng.standard_normal((16, 4, 1, 1)),
        }
    )
    assert ours["rpn/head/conv/kernel"][2, 1, 3, 4] == conv[4, 3, 2, 1]
    assert ours["roi/mask_head/upsample/kernel"][1, 0, 9, 6] == deconv[9, 6, 1, 0]
    assert ours["roi/mask_head/predictor/kernel"][9, 2] == predictor[2, 9, 0, 0]
    row, column, channel = 4, 2, 11
    flat = (row * 7 + column) * 16 + channel  # our order of a flattened RoI
    assert ours["roi/box_head/fc1/kernel"][flat, 5] == fc1[5, channel * 49 + row * 7 + column]


def test_the_first_linear_layer_of_each_stage_is_reordered():
    fc1 = np.random.default_rng(0).standard_normal((2, 8, 16 * 49))
    ours = mmdetection.NAMING.to_ours(
        {
            "roi_head.bbox_head.0.shared_fcs.0.weight": fc1[0],
            "roi_head.bbox_head.2.shared_fcs.0.weight": fc1[1],
            "rpn_head.rpn_conv.weight": np.ones((16, 16, 3, 3)),
        }
    )
    flat, theirs = (4 * 7 + 2) * 16 + 11, 11 * 49 + 4 * 7 + 2  # row 4, column 2, channel 11
    assert ours["roi/box_heads_0/fc1/kernel"][flat, 5] == fc1[0, 5, theirs]
    assert ours["roi/box_heads_2/fc1/kernel"][flat, 5] == fc1[1, 5, theirs]


def test_the_first_linear_layer_of_the_judge_has_the_channels_of_its_convolutions():
    rng = np.random.default_rng(0)
    fc1 = rng.standard_normal((10, 6 * 49))
    ours = mmdetection.NAMING.to_ours(
        {
            "roi_head.mask_iou_head.convs.0.weight": rng.standard_normal((6, 17, 3, 3)),
            "roi_head.mask_iou_head.fcs.0.weight": fc1,
            "rpn_head.rpn_conv.weight": np.ones((16, 16, 3, 3)),
        }
    )
    flat, theirs = (4 * 7 + 2) * 6 + 5, 5 * 49 + 4 * 7 + 2  # row 4, column 2, channel 5
    assert ours["roi/mask_head/iou/fc1/kernel"][flat, 8] == fc1[8, theirs]


def test_layouts_of_point_rend():
    """The convolution says how many channels the first linear layer's inputs have."""
    rng = np.random.default_rng(0)
    point, fc1 = rng.standard_normal((6, 11, 1)), rng.standard_normal((8, 5 * 9))
    prediction = rng.standard_normal((3 * 9, 8))
    ours = mmdetection.NAMING.to_ours(
        {
            "roi_head.mask_head.downsample_conv.conv.weight": np.ones((5, 4, 2, 2)),
            "roi_head.mask_head.fcs.0.weight": fc1,
            "roi_head.mask_head.fc_logits.weight": prediction,
            "roi_head.point_head.fcs.1.conv.weight": point,
        }
    )
    row, column, channel = 2, 1, 4
    flat, theirs = (row * 3 + column) * 5 + channel, channel * 9 + row * 3 + column
    assert ours["roi/mask_head/coarse/fc1/kernel"][flat, 7] == fc1[7, theirs]
    assert ours["roi/mask_head/coarse/predictor/kernel"][7, 25] == prediction[25, 7]
    assert ours["roi/mask_head/point/fc2/kernel"][10, 5] == point[5, 10, 0]


def test_torchvision_has_the_background_first():
    config = small_model(background=True)
    ours = canonical(random_variables(config))
    theirs = torchvision.NAMING.to_theirs(ours)
    k = config.num_classes
    logits, deltas = (
        theirs[f"roi_heads.box_predictor.{name}.bias"] for name in ("cls_score", "bbox_pred")
    )
    masks = theirs["roi_heads.mask_predictor.mask_fcn_logits.bias"]
    for label in range(k):
        assert logits[label + 1] == ours["roi/box_head/classes/bias"][label]
        assert masks[label + 1] == ours["roi/mask_head/predictor/bias"][label]
        box = ours["roi/box_head/deltas/bias"][4 * label : 4 * label + 4]
        np.testing.assert_array_equal(deltas[4 * label + 4 : 4 * label + 8], box)
    assert logits[0] == ours["roi/box_head/classes/bias"][k]


def test_a_model_without_background_outputs_gets_zeros_for_torchvision():
    theirs = state_dict("torchvision", small_model())
    k = small_model().num_classes
    deltas = theirs["roi_heads.box_predictor.bbox_pred.weight"]
    assert deltas.shape[0] == 4 * (k + 1)
    assert not deltas[:4].any()
    assert deltas[4:].all()
    back = torchvision.NAMING.to_ours(theirs)
    assert back["roi/box_head/deltas/kernel"].shape[-1] == 4 * (k + 1)


def test_background_outputs_are_dropped_for_the_others():
    theirs = state_dict("detectron2", small_model(background=True))
    k = small_model().num_classes
    assert theirs["roi_heads.box_predictor.bbox_pred.weight"].shape[0] == 4 * k
    assert theirs["roi_heads.box_predictor.cls_score.weight"].shape[0] == k + 1
    assert theirs["roi_heads.mask_head.predictor.weight"].shape[0] == k


def test_class_agnostic_heads():
    config = small_model(class_agnostic=True)
    theirs = state_dict("detectron2", config)
    assert theirs["roi_heads.box_predictor.bbox_pred.weight"].shape[0] == 4
    with pytest.raises(InputError, match="class-agnostic"):
        state_dict("torchvision", config)


def test_what_a_system_has_no_name_for_is_refused():
    with pytest.raises(InputError, match="mmdetection has no name for neck/lateral2_norm/scale"):
        mmdetection.NAMING.to_theirs({"neck/lateral2_norm/scale": np.ones(4)})


@pytest.mark.parametrize("system", SYSTEMS)
def test_mask_heads_that_no_other_system_has_are_refused(system):
    ours = canonical(random_variables(small_model()))
    unenlarged = {name: x for name, x in ours.items() if "upsample" not in name}
    twice = ours | {"roi/mask_head/upsample2/kernel": ours["roi/mask_head/upsample/kernel"]}
    boundary = ours | {"roi/mask_head/fusion/conv/kernel": ours["roi/mask_head/conv1/kernel"]}
    for tensors, message in (
        (unenlarged, f"{system} has no mask head without upsampling"),
        (twice, f"{system} has no name for roi/mask_head/upsample2/kernel"),
        (boundary, f"{system} has no name for roi/mask_head/fusion/conv/kernel"),
    ):
        with pytest.raises(InputError, match=message):
            SYSTEMS[system].NAMING.to_theirs(tensors)


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(InputError, match=r"backbone\.conv1\.weight has shape \[4, 3\]"):
        mmdetection.NAMING.to_ours({"backbone.conv1.weight": np.ones((4, 3))})


def test_a_tensor_under_two_names_is_refused():
    both = {"rpn.head.conv.weight": np.ones((4, 4, 3, 3))}
    both["rpn.head.conv.0.0.weight"] = both["rpn.head.conv.weight"]
    with pytest.raises(InputError, match="twice"):
        torchvision.NAMING.to_ours(both)


def test_torchvision_has_no_point_rend():
    with pytest.raises(InputError, match="torchvision has no name for roi/mask_head/coarse"):
        state_dict("torchvision", small_point_rend())


def test_the_first_linear_layer_needs_the_number_of_channels():
    with pytest.raises(InputError, match="first linear layer"):
        detectron2.NAMING.to_ours({"roi_heads.box_head.fc1.weight": np.ones((8, 16 * 49))})
