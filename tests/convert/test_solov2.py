"""SOLOv2 has names in MMDetection alone."""

import dataclasses

import jax
import numpy as np
import pytest

from maskrcnn_jax.convert import mmdetection, torchvision
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector, load_weights
from maskrcnn_jax.convert.notes import export_notes, import_notes
from maskrcnn_jax.convert.recognise import recognise_model
from maskrcnn_jax.convert.weights import from_state_dict
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.solov2 import SOLOv2Config
from tests.convert.models import canonical, random_variables
from tests.solo.models import tiny_solov2

# What the arrays do not show is MMDetection's: its grids, in place of the tiny ones.
CONFIG = dataclasses.replace(
    mmdetection.solov2_model(num_classes=3, backbone=tiny_solov2().backbone),
    neck=tiny_solov2().neck,
    head=dataclasses.replace(tiny_solov2().head, grids=SOLOv2Config(num_classes=3).head.grids),
    mask_features=tiny_solov2().mask_features,
)
VARIABLES = random_variables(CONFIG)
THEIRS = mmdetection.NAMING.to_theirs(canonical(VARIABLES))
WEIGHTS = from_state_dict(THEIRS, where="some.pth")


def test_names_are_mmdetections():
    head, features = "mask_head", "mask_head.mask_feature_head"
    assert {
        f"{head}.cls_convs.0.conv.weight",
        f"{head}.kernel_convs.0.gn.bias",
        f"{head}.conv_cls.bias",
        f"{head}.conv_kernel.weight",
        f"{features}.convs_all_levels.0.conv0.conv.weight",
        f"{features}.convs_all_levels.3.conv2.gn.weight",
        f"{features}.conv_pred.conv.weight",
    } < set(THEIRS)


def test_weights_come_in_and_go_out_with_the_same_bytes():
    loaded = load_detector(WEIGHTS, CONFIG)
    jax.tree.map(np.testing.assert_array_equal, loaded, VARIABLES)
    again = mmdetection.NAMING.to_theirs(WEIGHTS.tensors)
    assert again.keys() == THEIRS.keys()
    for name, x in THEIRS.items():
        np.testing.assert_array_equal(again[name], x)


def test_the_model_is_recognised_with_the_shapes_of_its_parts():
    model = recognise_model(WEIGHTS)
    assert isinstance(model, SOLOv2Config)
    assert (model.num_classes, model.head.num_convs, model.head.channels) == (3, 1, 16)
    assert (model.mask_features.channels, model.mask_features.outputs) == (8, 8)
    assert (model.neck, model.backbone.depth) == (CONFIG.neck, 18)
    assert export_notes(model, mmdetection.NAMING) == []


def test_what_departs_from_the_standard_is_told():
    other = dataclasses.replace(
        recognise_model(WEIGHTS),
        detections=dataclasses.replace(CONFIG.detections, sigma=0.5),
    )
    (note,) = import_notes(WEIGHTS, other)
    assert "--model.detections.sigma is 0.5; such weights are made for 2.0" in note
    (note,) = export_notes(other, mmdetection.NAMING)
    assert "sigma is 0.5; mmdetection by itself takes 2.0" in note


def test_other_classes_leave_the_last_layer_out():
    config = dataclasses.replace(CONFIG, num_classes=5)
    variables = random_variables(config, seed=1)
    with pytest.raises(InputError, match=r"for 3 classes .*--init\.new-classes"):
        load_weights(variables, WEIGHTS, backbone_norm=config.backbone.norm)
    found = load_weights(
        variables, WEIGHTS, backbone_norm=config.backbone.norm, init=InitConfig(new_classes=True)
    )
    head, ours, theirs = (x["params"]["head"] for x in (found, variables, VARIABLES))
    jax.tree.map(np.testing.assert_array_equal, head["classes"], ours["classes"])
    jax.tree.map(np.testing.assert_array_equal, head["kernels"], theirs["kernels"])


def test_torchvision_has_no_names_for_it():
    with pytest.raises(InputError, match="torchvision has no name for"):
        torchvision.NAMING.to_theirs(WEIGHTS.tensors)


def test_a_missing_array_is_named():
    name = "mask_head.mask_feature_head.conv_pred.conv.weight"
    rest = {other: x for other, x in THEIRS.items() if other != name}
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        recognise_model(from_state_dict(rest, where="some.pth"))
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        load_detector(from_state_dict(rest, where="some.pth"), CONFIG)
