import dataclasses
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.convert import detectron2, torchvision
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_weights
from maskrcnn_jax.convert.recognise import recognise_model
from maskrcnn_jax.convert.weights import OURS, from_variables, read_weights, write_weights
from maskrcnn_jax.data.coco_format.categories import COCO_CATEGORIES
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.finetuning.start import start_from
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.pixels import PixelConfig
from tests.convert.models import (
    SYSTEMS,
    random_variables,
    small_cascade,
    small_model,
    state_dict,
)

OWN = [Category(id=1, name="ship"), Category(id=5, name="buoy")]


def saved(path: Path, tensors) -> InitConfig:
    np.savez(path, **tensors)
    return InitConfig(checkpoint=path)


def backbone_of(tensors, prefix, *, keep_prefix=False):
    return {
        name if keep_prefix else name.removeprefix(prefix): x
        for name, x in tensors.items()
        if name.startswith(prefix)
    }


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_detector_gets_the_classes_of_the_data_and_keeps_all_else(system, tmp_path):
    model = small_model(background=system == "torchvision")
    init = saved(tmp_path / "a.npz", state_dict(system, model))
    start = start_from(init, OWN)
    weights = read_weights(tmp_path / "a.npz")
    assert start.model == dataclasses.replace(recognise_model(weights), num_classes=2)
    assert (start.num_classes_before, start.has_new_classes) == (3, True)
    assert "3 others" in start.reasons()["init.new_classes"]
    load_weights(  # raises where something does not fit
        random_variables(start.model),
        weights,
        backbone_norm=start.model.backbone.norm,
        init=dataclasses.replace(init, new_classes=start.has_new_classes),
    )


def test_the_kind_of_detector_is_told(tmp_path):
    tensors = state_dict("detectron2", small_cascade("detectron2"))
    told = start_from(saved(tmp_path / "a.npz", tensors), OWN).describe()
    assert told.startswith("Cascade Mask R-CNN, ResNet-18: all from the weights but the layers")


def test_the_classes_stay_where_the_data_have_the_same(tmp_path):
    model = dataclasses.replace(small_model(), num_classes=80)
    init = saved(tmp_path / "coco.npz", state_dict("detectron2", model))
    same = start_from(init, COCO_CATEGORIES)
    assert (same.has_new_classes, same.model.num_classes) == (False, 80)
    assert "init.new_classes" not in same.reasons()
    assert "whose classes are those of the data" in same.describe()
    renamed = [dataclasses.replace(COCO_CATEGORIES[0], name="ship"), *COCO_CATEGORIES[1:]]
    assert start_from(init, renamed).has_new_classes  # as many, but others


def test_a_run_of_ours_tells_its_classes_and_how_it_was_trained(small_run, tmp_path):
    weights = from_variables(random_variables(small_run.config.model), small_run, where="")
    write_weights(weights, tmp_path / "run.npz", naming=OURS)
    init = InitConfig(checkpoint=tmp_path / "run.npz")
    numbered_otherwise = [dataclasses.replace(c, id=c.id + 1) for c in small_run.categories]
    start = start_from(init, numbered_otherwise)
    assert not start.has_new_classes
    assert start.model == small_run.config.model
    assert start.run == small_run.config
    other = start_from(init, OWN)
    assert other.has_new_classes
    assert other.model == dataclasses.replace(small_run.config.model, num_classes=2)


def test_around_a_backbone_stands_the_standard_detector(tmp_path):
    tensors = state_dict("torchvision", small_model())
    start = start_from(saved(tmp_path / "a.npz", backbone_of(tensors, "backbone.body.")), OWN)
    assert start.is_backbone
    assert not start.has_new_classes
    expected = torchvision.model(backbone=small_model().backbone).backbone
    backbone = dataclasses.replace(start.model.backbone, frozen_stages=expected.frozen_stages)
    assert backbone.stride_in_1x1 is expected.stride_in_1x1 is False
    assert start.model == MaskRCNNConfig(num_classes=2, backbone=start.model.backbone)
    assert "neck and heads from random numbers" in start.describe()


def test_a_backbone_says_how_it_sees_pixels(tmp_path):
    tensors = state_dict("detectron2", small_model())
    init = saved(tmp_path / "a.npz", backbone_of(tensors, "backbone.bottom_up.", keep_prefix=True))
    model = start_from(init, OWN).model
    assert model.pixels == detectron2.model().pixels != PixelConfig()
    assert (model.backbone.depth, model.backbone.width) == (18, 8)


def test_of_a_whole_detector_the_backbone_alone_can_be_taken(small_run, tmp_path):
    saved(tmp_path / "a.npz", state_dict("detectron2", small_cascade("detectron2")))
    start = start_from(InitConfig(backbone=tmp_path / "a.npz"), OWN)
    assert start.is_backbone
    assert start.model.pixels == detectron2.model().pixels
    assert start.describe().startswith("Mask R-CNN, ResNet-18")

    model = dataclasses.replace(small_run.config.model, pixels=PixelConfig(order="bgr"))
    run = dataclasses.replace(small_run, config=dataclasses.replace(small_run.config, model=model))
    weights = from_variables(random_variables(model), run, where="")
    write_weights(weights, tmp_path / "run.npz", naming=OURS)
    start = start_from(InitConfig(backbone=tmp_path / "run.npz"), OWN)
    assert start.run is None
    assert start.model == MaskRCNNConfig(
        num_classes=2, pixels=model.pixels, backbone=model.backbone
    )


def test_a_damaged_backbone_is_refused_by_the_names_of_its_file(tmp_path):
    tensors = backbone_of(state_dict("torchvision", small_model()), "backbone.body.")
    del tensors["conv1.weight"]
    with pytest.raises(InputError, match=r"a.npz: tensor 'conv1.weight' is missing"):
        start_from(saved(tmp_path / "a.npz", tensors), OWN)


def test_without_weights_it_is_said_what_to_give():
    with pytest.raises(InputError, match=r"--init.checkpoint FILE"):
        start_from(InitConfig(), OWN)
