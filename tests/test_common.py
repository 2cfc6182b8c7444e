"""What every preset in ``configs/`` must fulfil; nothing is computed, only shapes."""

import dataclasses
import functools
import importlib
import json

import jax
import jax.numpy as jnp
import pytest

import configs
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig, check_semantic_maps
from maskrcnn_jax.pixels import PixelConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask import (
    BoundaryMaskHeadConfig,
    DynamicMaskHeadConfig,
    MaskScoringConfig,
    PointRendMaskHeadConfig,
)
from maskrcnn_jax.serialization import from_json, to_json
from maskrcnn_jax.solov2 import SOLOv2Config
from maskrcnn_jax.structures import abstract_batch
from maskrcnn_jax.training.state import count_parameters, create_state

PRESETS = [name for name in configs.names() if name != "finetune"]  # which needs data first


@functools.cache
def preset(name):
    return configs.load(name)


def outputs(name, verb):
    """Shapes of what a verb returns, and of the variables it creates."""
    config = preset(name)
    return _outputs(config.model, verb, *shapes_of(config))


def shapes_of(config):
    """What of the input shapes a batch."""
    has_map = config.input.semantic_labels is not None
    return config.input.padded_sizes[0], config.input.mask_size, has_map


@functools.cache  # presets that differ in their schedule alone share this
def _outputs(model_config, verb, padded_size, mask_size, has_map):
    batch = abstract_batch(
        1, padded_size, num_slots=7, mask_size=mask_size, has_semantic_map=has_map
    )
    keys = jax.random.split(jax.random.key(0), 1)
    init = functools.partial(model_config.build().init_with_output, method=verb)
    return jax.eval_shape(init, keys[0], batch, *((keys,) if verb == "loss" else ()))


def expected_losses(model):
    if isinstance(model, SOLOv2Config):
        return {"class", "mask"}
    return {"rpn_objectness", "rpn_box"} | roi_losses(model.roi)


def expected_masks(model, padded_size):
    """Shape of the masks of an image."""
    if isinstance(model, SOLOv2Config):  # stride 4 and a border
        height, width = padded_size
        return model.detections.max_detections, height // 4 + 2, width // 4 + 2
    mask = model.roi.mask
    mask = mask.head if isinstance(mask, MaskScoringConfig) else mask
    side = 0 if mask is None else mask.side
    return model.roi.detections.max_detections, side, side


def roi_losses(roi):
    """Names of the losses of the second stage."""
    boxes, masks = ["roi_class", "roi_box"], [] if roi.mask is None else ["roi_mask"]
    if isinstance(roi.mask, MaskScoringConfig):
        masks.append("roi_mask_iou")
    if isinstance(roi.mask, BoundaryMaskHeadConfig):
        masks.append("roi_boundary")
    if isinstance(roi.mask, DynamicMaskHeadConfig):
        masks.append("roi_mask_dice")
    if isinstance(roi.mask, PointRendMaskHeadConfig):
        masks.append("roi_mask_point")
    if isinstance(roi, CascadeRoIHeadConfig):
        num_stages = len(roi.stages)
        boxes = [f"{name}_{stage}" for name in boxes for stage in range(num_stages)]
        num_masks = num_stages if roi.resample else 1
        masks = [f"{name}_{stage}" for name in masks for stage in range(num_masks)]
    if isinstance(roi, HTCRoIHeadConfig):
        names = [f"{name}_{stage}" for name in (*boxes, *masks) for stage in range(len(roi.stages))]
        return {*names, *(["roi_semantic"] if roi.semantic else [])}
    return {*boxes, *masks}


@pytest.mark.parametrize("name", PRESETS)
def test_loss_and_predict_work_at_a_padded_size(name):
    config = preset(name)
    losses, _ = outputs(name, "loss")
    assert set(losses) == expected_losses(config.model)
    assert all(x.shape == () for x in jax.tree.leaves(losses))
    found, _ = outputs(name, "predict")
    assert found.masks.shape == (1, *expected_masks(config.model, config.input.padded_sizes[0]))


@pytest.mark.parametrize("name", PRESETS)
def test_loss_and_predict_create_the_same_variables(name):
    (_, with_loss), (_, with_predict) = outputs(name, "loss"), outputs(name, "predict")
    assert with_loss == with_predict


@pytest.mark.parametrize("verb", ["loss", "predict"])
@pytest.mark.parametrize("name", PRESETS)
def test_in_bfloat16_variables_and_results_stay_float32(name, verb):
    """With the shallowest backbone: the others have more of the same."""
    config = preset(name)
    backbone = dataclasses.replace(config.model.backbone, depth=18, groups=1, width_per_group=64)
    pixels = PixelConfig()  # have no part in it
    model = dataclasses.replace(
        config.model, precision="bfloat16", backbone=backbone, pixels=pixels
    )
    found = _outputs(model, verb, *shapes_of(config))
    assert not any(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(found))


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_frozen_exists_and_is_not_trained(name):
    config, (_, variables) = preset(name), outputs(name, "predict")
    optimizer = config.optimizer.build(lambda step: 0.0)
    frozen = config.model.frozen_modules()
    state = jax.eval_shape(lambda v: create_state(v, optimizer, frozen), variables)
    for path in frozen:
        trained, fixed = state.params, state.constants["params"]
        for part in path[:-1]:
            trained, fixed = trained[part], fixed[part]
        assert path[-1] in fixed
        assert path[-1] not in trained
    number = count_parameters(state.params)
    assert number == count_parameters(state.opt_state) - 1  # the optimizer's own step count
    assert number + count_parameters(state.constants["params"]) == count_parameters(
        variables["params"]
    )
    assert jax.tree.structure(jax.eval_shape(lambda s: s.variables(), state)) == (
        jax.tree.structure(dict(variables))
    )


@pytest.mark.parametrize("name", PRESETS)
def test_the_config_survives_json(name):
    config = preset(name)
    text = json.dumps(to_json(config))
    assert from_json(ExperimentConfig, json.loads(text), where="test") == config


@pytest.mark.parametrize("name", PRESETS)
def test_the_data_bring_the_semantic_maps_that_the_model_needs(name):
    config = preset(name)
    check_semantic_maps(config)
    other = dataclasses.replace(config, input=dataclasses.replace(config.input, semantic_labels=9))
    with pytest.raises(InputError, match=r"semantic-labels is 9, .* set it to (None|183)"):
        check_semantic_maps(other)


@pytest.mark.parametrize("name", configs.names())
def test_a_preset_is_a_lab_note(name):
    """Its docstring says the command that runs it."""
    note = importlib.import_module(f"configs.{name}").__doc__ or ""
    assert f"python train.py {name} --workdir" in note


def test_a_misspelt_preset_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"'shape'.*Did you mean 'shapes'\?"):
        configs.load("shape")


def test_the_preset_that_follows_from_data_is_refused_where_there_are_none():
    assert "finetune" in configs.names()
    with pytest.raises(InputError, match=r"'finetune' .*--workdir"):
        configs.load("finetune")
