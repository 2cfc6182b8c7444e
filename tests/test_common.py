"""What every preset in ``configs/`` must fulfil; nothing is computed, only shapes."""

import functools
import importlib
import json

import jax
import jax.numpy as jnp
import pytest

import configs
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.serialization import from_json, to_json
from maskrcnn_jax.structures import Batch, GroundTruth
from maskrcnn_jax.training.state import count_parameters, create_state, initial_variables

PRESETS = configs.names()


def batch_of(config, *, num_images=1, num_slots=7):
    """Shapes of a batch as the input pipeline makes it."""
    (height, width), size = config.padded_sizes[0], config.mask_size
    truth = GroundTruth(
        boxes=jnp.zeros((num_images, num_slots, 4)),
        labels=jnp.zeros((num_images, num_slots), jnp.int32),
        masks=jnp.zeros((num_images, num_slots, size, size), bool),
        mask_frames=jnp.zeros((num_images, num_slots, 4)),
        valid=jnp.zeros((num_images, num_slots), bool),
    )
    return Batch(
        images=jnp.zeros((num_images, height, width, 3), jnp.uint8),
        sizes=jnp.zeros((num_images, 2), jnp.int32),
        ground_truth=truth,
        indices=jnp.zeros(num_images, jnp.int32),
        valid=jnp.ones(num_images, bool),
    )


@functools.cache
def initial(model_config, verb, make_batch):
    """Shapes of what a verb returns, and of the variables it creates."""
    batch, keys = make_batch(), jax.random.split(jax.random.key(0), 1)
    init = functools.partial(model_config.build().init_with_output, method=verb)
    return jax.eval_shape(init, keys[0], batch, *((keys,) if verb == "loss" else ()))


@functools.cache
def loaded(name):
    return configs.load(name)


@functools.cache
def batch_maker(input_config):
    return functools.partial(batch_of, input_config)


def outputs(name, verb):
    """Presets that differ in their schedule alone share the work."""
    config = loaded(name)
    return initial(config.model, verb, batch_maker(config.input))


@pytest.mark.parametrize("name", PRESETS)
def test_loss_and_predict_work_at_a_padded_size(name):
    config = loaded(name)
    losses, _ = outputs(name, "loss")
    expected = {"rpn_objectness", "rpn_box", "roi_class", "roi_box"}
    assert set(losses) - {"roi_mask"} == expected
    assert ("roi_mask" in losses) == (config.model.roi.mask is not None)
    assert all(x.shape == () for x in jax.tree.leaves(losses))
    found, _ = outputs(name, "predict")
    num_detections = config.model.roi.detections.max_detections
    side = 0 if config.model.roi.mask is None else 2 * config.model.roi.mask.pooling.output_size
    assert found.masks.shape == (1, num_detections, side, side)


@pytest.mark.parametrize("name", PRESETS)
def test_loss_and_predict_create_the_same_variables(name):
    (_, with_loss), (_, with_predict) = outputs(name, "loss"), outputs(name, "predict")
    assert with_loss == with_predict


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_frozen_exists_and_is_not_trained(name):
    config, (_, variables) = loaded(name), outputs(name, "predict")
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
def test_variables_do_not_depend_on_the_size_of_the_image(name):
    config, (_, variables) = loaded(name), outputs(name, "predict")
    first = jax.eval_shape(functools.partial(initial_variables, config.model.build(), seed=0))
    assert first == variables


@pytest.mark.parametrize("name", PRESETS)
def test_the_config_survives_json(name):
    config = loaded(name)
    text = json.dumps(to_json(config))
    assert from_json(ExperimentConfig, json.loads(text), where="test") == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_lab_note(name):
    """Its docstring says the command that runs it."""
    note = importlib.import_module(f"configs.{name}").__doc__
    assert f"python train.py {name} --workdir" in note


def test_a_misspelt_preset_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"'shape'.*Did you mean 'shapes'\?"):
        configs.load("shape")
