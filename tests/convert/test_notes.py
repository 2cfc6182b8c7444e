"""What a user is told where weights and a model do not belong together in all."""

import dataclasses

import numpy as np
import pytest

import configs
from maskrcnn_jax.convert import detectron2, imagenet, mmdetection, torchvision
from maskrcnn_jax.convert.notes import export_notes, import_notes
from maskrcnn_jax.convert.recognise import recognise_model
from maskrcnn_jax.convert.weights import OURS, Weights, from_state_dict, from_variables
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from tests.convert.models import (
    CASCADES,
    POINT_RENDS,
    SYSTEMS,
    random_variables,
    small_model,
    state_dict,
)


def options_of(notes):
    return {note.split()[1].removeprefix("--model.") for note in notes}


def test_notes_do_not_refuse_parts_of_a_detector():
    tensors = state_dict("detectron2", small_model())
    parts = {name: x for name, x in tensors.items() if "box_predictor" not in name}
    assert import_notes(from_state_dict(parts, where="some.pth"), small_model()) == []


def test_notes_are_about_what_changes_predictions():
    ours = dataclasses.replace(small_model(), num_classes=3)
    weights = from_state_dict(state_dict("detectron2", small_model()), where="some.pkl")
    changed = options_of(import_notes(weights, ours))
    assert {"pixels.order", "pixels.mean", "pixels.std"} <= changed
    assert not any("sampling" in option or "train" in option for option in changed)
    assert import_notes(weights, recognise_model(weights)) == []
    mask = MaskScoringConfig(head=ours.roi.mask)
    judged = dataclasses.replace(ours, roi=dataclasses.replace(ours.roi, mask=mask))
    assert {
        option.replace("mask.head.", "mask.")
        for option in options_of(import_notes(weights, judged))
    } == changed


def test_notes_about_our_own_weights_compare_with_their_run(small_run):
    model = small_run.config.model
    weights = from_variables(random_variables(model), small_run, where="here")
    assert import_notes(weights, model) == []
    model = dataclasses.replace(model, pixels=dataclasses.replace(model.pixels, order="bgr"))
    assert options_of(import_notes(weights, model)) == {"pixels.order"}


@pytest.mark.parametrize(
    ("naming", "expected"),
    [
        (torchvision.BACKBONE, set()),
        (detectron2.BACKBONE, set()),
        (imagenet.FOLDED_BACKBONE, {"backbone.stride_in_1x1"}),
        (
            detectron2.CAFFE2_BACKBONE,
            {"backbone.stride_in_1x1", "pixels.order", "pixels.mean", "pixels.std"},
        ),
    ],
)
@pytest.mark.parametrize("preset", ["mask_rcnn_r50_fpn_1x", "solov2_r50_fpn_1x"])
def test_notes_about_a_backbone_are_about_its_input_and_stride(naming, expected, preset):
    ours = configs.load(preset).model
    weights = Weights(
        tensors={"backbone/stem/norm/bias": np.zeros(4)},
        sources={}, naming=naming, unknown=(), where="some.pth",
    )  # fmt: skip
    assert options_of(import_notes(weights, ours)) == expected


def test_export_notes():
    for module in SYSTEMS.values():
        assert export_notes(module.model(), module.NAMING) == []
    for system in CASCADES:
        assert export_notes(SYSTEMS[system].cascade_model(), SYSTEMS[system].NAMING) == []
    scoring = mmdetection.mask_scoring_model()
    assert export_notes(scoring, mmdetection.NAMING) == []
    for system in POINT_RENDS:
        assert export_notes(SYSTEMS[system].point_rend_model(), SYSTEMS[system].NAMING) == []
    assert export_notes(small_model(), OURS) == []
    notes = export_notes(mmdetection.cascade_model(), detectron2.NAMING)
    assert "roi.averaged" in options_of(notes)
    ours = configs.load("mask_rcnn_r50_fpn_1x").model
    assert "backbone.stride_in_1x1" in options_of(export_notes(ours, detectron2.NAMING))
    assert "backbone.stride_in_1x1" not in options_of(export_notes(ours, mmdetection.NAMING))
