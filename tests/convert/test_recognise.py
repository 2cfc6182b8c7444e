"""The detector is told from its weights."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import configs
from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert import detectron2, mmdetection, torchvision
from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.notes import export_notes, import_notes
from maskrcnn_jax.convert.recognise import (
    recognise_experiment,
    recognise_model,
    recognise_run,
)
from maskrcnn_jax.convert.weights import from_state_dict, from_variables
from maskrcnn_jax.data.coco_format.categories import COCO_CATEGORIES
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_json
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from maskrcnn_jax.roi.semantic_targets import ObjectMasksConfig, SemanticMapsConfig
from maskrcnn_jax.training.state import initial_variables
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


def weights_of_shapes(shapes):
    """Arrays that take no memory."""
    return from_state_dict(
        {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()},
        where="some.pkl",
    )


@pytest.mark.parametrize(
    ("golden", "preset"),
    [
        ("detectron2_mask_rcnn_R_50_FPN_3x_a", "detectron2_r50_fpn_3x"),
        ("mmdet_mask_rcnn_r50_fpn_1x", "mmdetection_r50_fpn_1x"),
        ("detectron2_cascade_mask_rcnn_R_50_FPN_3x", "detectron2_cascade_r50_fpn_3x"),
        ("mmdet_cascade_mask_rcnn_r50_fpn_1x", "mmdetection_cascade_r50_fpn_1x"),
        ("mmdet_htc_r50_fpn_1x", "mmdetection_htc_r50_fpn_1x"),
        (
            "mmdet_htc_without_semantic_r50_fpn_1x",
            "mmdetection_htc_without_semantic_r50_fpn_1x",
        ),
        ("mmdet_solov2_r50_fpn_1x", "mmdetection_solov2_r50_fpn_1x"),
        ("detectron2_pointrend_R_50_FPN_3x", "detectron2_point_rend_r50_fpn_3x"),
        ("mmdet_point_rend_r50_caffe_fpn_1x", "mmdetection_point_rend_r50_caffe_fpn_1x"),
    ],
)
def test_real_models_are_recognised_as_their_presets(shared, golden, preset):
    shapes = json.loads((shared / "golden" / f"{golden}.shapes.json").read_text())
    assert recognise_model(weights_of_shapes(shapes)) == configs.load(preset).model


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "backbone",
    [
        ResNetConfig(depth=18, width=8),
        ResNetConfig(depth=101, width=8),
        ResNetConfig(depth=101, width=64, groups=32, width_per_group=8),
        ResNetConfig(depth=50, width=16, groups=4, width_per_group=32),
    ],
    ids=["18", "101", "X101", "X50"],
)
def test_the_backbone_is_recognised(system, backbone):
    standard = SYSTEMS[system].model(num_classes=4, backbone=backbone)
    shapes = jax.eval_shape(lambda: initial_variables(standard.build(), seed=0))
    zeros = jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), shapes)
    tensors = SYSTEMS[system].NAMING.to_theirs(canonical(zeros))
    assert recognise_model(from_state_dict(tensors, where="some.pth")) == standard


def test_class_agnostic_heads_are_recognised():
    weights = from_state_dict(
        state_dict("detectron2", small_model(class_agnostic=True)), where="some.pkl"
    )
    model = recognise_model(weights)
    assert isinstance(model.roi.mask, FCNMaskHeadConfig)
    assert model.roi.box.class_agnostic
    assert model.roi.mask.class_agnostic
    assert (model.roi.mask.num_convs, model.roi.mask.channels) == (1, 16)
    assert (model.roi.box.hidden, model.roi.pooling.output_size) == (32, 7)
    assert model.neck.channels == 16


def test_real_mask_scoring_is_recognised_but_for_the_caffe_backbone(shared):
    path = shared / "golden" / "mmdet_ms_rcnn_r50_caffe_fpn_1x.shapes.json"
    model = recognise_model(weights_of_shapes(json.loads(path.read_text())))
    assert model == mmdetection.mask_scoring_model()
    caffe = configs.load("mmdetection_ms_rcnn_r50_caffe_fpn_1x").model
    assert model.roi == caffe.roi


def test_a_head_that_judges_masks_is_recognised_with_its_shapes():
    tensors = state_dict("mmdetection", small_scoring())
    weights = from_state_dict(tensors, where="some.pth")
    model = recognise_model(weights)
    expected = small_scoring().roi.mask
    assert isinstance(model.roi.mask, MaskScoringConfig)
    assert (model.roi.mask.channels, model.roi.mask.hidden) == (6, 10)
    assert (model.roi.mask.head.num_convs, model.roi.mask.head.channels) == (1, 16)
    assert model.roi.mask.pooling == expected.pooling
    again = load_detector(weights, model)
    assert canonical(again).keys() == canonical(random_variables(small_scoring())).keys()


def test_a_detector_without_masks_is_recognised():
    tensors = state_dict("mmdetection", small_model())
    boxes_only = {name: x for name, x in tensors.items() if "mask_head" not in name}
    assert recognise_model(from_state_dict(boxes_only, where="some.pth")).roi.mask is None


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("system", CASCADES)
def test_a_cascade_is_recognised_with_the_shapes_of_its_heads(system, num_classes):
    config = dataclasses.replace(small_cascade(system), num_classes=num_classes)
    weights = from_state_dict(state_dict(system, config), where="some.pth")
    assert weights.naming.system == system
    model = recognise_model(weights)
    standard = SYSTEMS[system].cascade_model().roi
    assert isinstance(model.roi, CascadeRoIHeadConfig)
    assert model.roi.refinements == standard.refinements
    assert model.roi.resample == (system == "mmdetection")
    assert model.roi.box == dataclasses.replace(standard.box, hidden=32)
    assert isinstance(model.roi.mask, FCNMaskHeadConfig)
    assert (model.roi.mask.num_convs, model.roi.mask.channels) == (1, 16)
    assert (model.num_classes, model.roi.pooling.output_size) == (num_classes, 7)


@pytest.mark.parametrize("system", CASCADES)
def test_a_cascade_without_masks_is_recognised(system):
    tensors = state_dict(system, small_cascade(system))
    boxes_only = {name: x for name, x in tensors.items() if "mask_head" not in name}
    model = recognise_model(from_state_dict(boxes_only, where="some.pth"))
    assert isinstance(model.roi, CascadeRoIHeadConfig)
    assert model.roi.mask is None


@pytest.mark.parametrize(
    "target", [ObjectMasksConfig(), SemanticMapsConfig(num_labels=7), None], ids=lambda x: str(x)
)
def test_a_hybrid_task_cascade_is_recognised_with_its_semantic_branch(target):
    config = small_hybrid()
    semantic = None if target is None else dataclasses.replace(config.roi.semantic, target=target)
    roi = dataclasses.replace(config.roi, semantic=semantic)
    tensors = state_dict("mmdetection", dataclasses.replace(config, roi=roi))
    weights = from_state_dict(tensors, where="some.pth")
    model = recognise_model(weights)
    assert isinstance(model.roi, HTCRoIHeadConfig)
    assert model.roi.semantic == semantic
    assert model.roi.refinements == mmdetection.htc_model().roi.refinements
    assert (model.roi.mask.num_convs, model.roi.mask.channels) == (1, 16)
    assert export_notes(model, mmdetection.NAMING) == import_notes(weights, model) == []


def test_a_hybrid_task_cascade_without_mask_heads_is_refused():
    tensors = state_dict("mmdetection", small_hybrid())
    tensors = {name: x for name, x in tensors.items() if "mask_head" not in name}
    with pytest.raises(InputError, match=r"some\.pth: .* without its mask heads"):
        recognise_model(from_state_dict(tensors, where="some.pth"))


def test_a_cascade_of_two_stages_is_recognised():
    tensors = state_dict("detectron2", small_cascade("detectron2"))
    two = {n: x for n, x in tensors.items() if ".box_head.2." not in n and "predictor.2." not in n}
    model = recognise_model(from_state_dict(two, where="some.pth"))
    assert model.roi.refinements == detectron2.cascade_model().roi.refinements[:1]


def test_a_cascade_that_lacks_a_stage_in_between_is_one_of_all_stages():
    tensors = state_dict("detectron2", small_cascade("detectron2"))
    without = {n: x for n, x in tensors.items() if ".box_head.1." not in n}
    weights = from_state_dict(without, where="some.pth")
    with pytest.raises(InputError, match=r"(?s)Missing .*roi_heads\.box_head\.1\.fc1\.weight"):
        load_detector(weights, recognise_model(weights))


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("system", POINT_RENDS)
def test_point_rend_is_recognised_with_the_shapes_of_its_heads(system, num_classes):
    config = dataclasses.replace(small_point_rend(), num_classes=num_classes)
    weights = from_state_dict(state_dict(system, config), where="some.pth")
    model = recognise_model(weights)
    standard = SYSTEMS[system].point_rend_model().roi.mask
    small = config.roi.mask
    assert model.roi.mask == dataclasses.replace(standard, coarse=small.coarse, point=small.point)
    assert model.pixels.order == "bgr"  # MMDetection's, too
    assert import_notes(weights, model) == []
    assert load_detector(weights, model)


def test_point_rend_in_a_cascade_is_recognised():
    cascade = small_cascade("detectron2")
    roi = dataclasses.replace(cascade.roi, mask=small_point_rend().roi.mask)
    tensors = state_dict("detectron2", dataclasses.replace(cascade, roi=roi))
    model = recognise_model(from_state_dict(tensors, where="some.pth"))
    assert isinstance(model.roi, CascadeRoIHeadConfig)
    assert isinstance(model.roi.mask, PointRendMaskHeadConfig)
    assert model.roi.mask.coarse == roi.mask.coarse


def test_a_point_rend_without_its_coarse_head_is_refused():
    tensors = state_dict("detectron2", small_point_rend())
    some = {name: x for name, x in tensors.items() if "coarse_head" not in name}
    with pytest.raises(InputError, match=r"coarse_head\.prediction\.bias' is missing"):
        recognise_model(from_state_dict(some, where="some.pkl"))


def test_other_cascades_are_refused():
    tensors = state_dict("detectron2", small_cascade("detectron2"))
    tensors["roi_heads.box_predictor.0.bbox_pred.bias"] = np.zeros(12, np.float32)
    with pytest.raises(InputError, match=r"some\.pth: a cascade of 3 stages with 12 deltas"):
        recognise_model(from_state_dict(tensors, where="some.pth"))


@pytest.mark.parametrize(
    "missing", ["roi_heads.box_predictor.cls_score", "backbone.bottom_up.stem"]
)
def test_a_part_of_a_detector_is_refused(missing):
    tensors = state_dict("detectron2", small_model())
    some = {name: x for name, x in tensors.items() if not name.startswith(missing)}
    with pytest.raises(
        InputError, match=r"some\.pkl: .*(class logits|stem\.conv1\.weight).* missing"
    ):
        recognise_model(from_state_dict(some, where="some.pkl"))


def test_another_number_of_blocks_is_refused():
    tensors = state_dict("detectron2", small_model())
    some = {name: x for name, x in tensors.items() if "res3.1." not in name}
    with pytest.raises(InputError, match=r"no ResNet has stages of \(2, 1, 2, 2\) blocks"):
        recognise_model(from_state_dict(some, where="some.pkl"))


def test_our_own_names_alone_do_not_say_which_model_it_is():
    weights = from_state_dict({"neck/output2/bias": np.zeros(4)}, where="some.npz")
    with pytest.raises(InputError, match=r"some\.npz .* take --preset"):
        recognise_experiment(weights)


def test_our_own_weights_bring_their_experiment(small_run):
    weights = from_variables(random_variables(small_run.config.model), small_run, where="here")
    assert recognise_experiment(weights) == small_run.config
    assert recognise_run(weights, small_run.config) == small_run


@pytest.mark.parametrize(("system", "first"), [("detectron2", "person"), ("torchvision", "person")])
def test_categories_are_cocos_unless_told(system, first, tmp_path):
    num_classes = 90 if system == "torchvision" else 80
    model = dataclasses.replace(small_model(background=num_classes == 90), num_classes=num_classes)
    weights = from_state_dict(state_dict(system, model), where="some.pth")
    config = recognise_experiment(weights)
    run = recognise_run(weights, config)
    assert run.categories[0] == Category(id=1, name=first)
    assert run.categories[-1] == Category(id=90, name="toothbrush")
    assert config.data.labels == ("category_ids" if num_classes == 90 else "contiguous")

    path = tmp_path / "names.json"
    write_json(path, {"categories": [{"id": 1, "name": "a"}]})
    with pytest.raises(
        InputError, match=rf"names\.json names 1 categories.* {num_classes} classes"
    ):
        recognise_run(weights, config, categories=path)


def test_semantics_that_no_reference_output_shows():
    """Values from the systems' own configurations."""
    bgr, std = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
    resnext = ResNetConfig(depth=101, groups=32, width_per_group=8)
    x101 = detectron2.model(backbone=resnext)
    assert (x101.pixels.order, x101.pixels.mean, x101.pixels.std) == ("bgr", bgr, std)
    assert not x101.backbone.stride_in_1x1
    x101 = mmdetection.model(backbone=resnext)
    assert (x101.pixels.order, x101.pixels.mean, x101.pixels.std) == ("bgr", bgr, std)
    x101_4d = mmdetection.model(backbone=dataclasses.replace(resnext, width_per_group=4))
    assert x101_4d.pixels == mmdetection.model().pixels
    caffe = mmdetection.model(caffe=True)
    assert (caffe.pixels.order, caffe.pixels.mean, caffe.pixels.std) == (
        "bgr",
        bgr,
        (1.0, 1.0, 1.0),
    )
    assert caffe.backbone.stride_in_1x1
    epsilons = [
        torchvision.model(num_classes=k, backbone=ResNetConfig(depth=depth)).backbone.norm.epsilon
        for k, depth in ((90, 50), (2, 50), (90, 18))
    ]
    assert epsilons == [0.0, 1e-5, 1e-5]


def test_an_annotation_file_of_coco_names_the_90_outputs_of_torchvision(tmp_path):
    model = dataclasses.replace(small_model(background=True), num_classes=90)
    weights = from_state_dict(state_dict("torchvision", model), where="some.pth")
    named = [{"id": c.id, "name": c.name} for c in COCO_CATEGORIES]
    path = tmp_path / "instances.json"
    write_json(path, {"categories": named})
    config = recognise_experiment(weights)
    assert recognise_run(weights, config, categories=path) == recognise_run(weights, config)
