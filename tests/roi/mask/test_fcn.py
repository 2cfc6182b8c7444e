import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.norms import BatchNormConfig, GroupNormConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig, MaskOutputs, Upsample, fcn_losses
from maskrcnn_jax.roi.mask.losses import select_class
from maskrcnn_jax.roi.mask.pixel_losses import SoftMaskLossConfig
from maskrcnn_jax.roi.mask.targets import mask_targets
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.serialization import from_json, to_json
from tests import tiny
from tests.roi.mask.inputs import detections_of, random_inputs, with_garbage

K = tiny.NUM_CLASSES
CONFIG = FCNMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=4, samples_per_cell=1), num_convs=2, channels=8
)


def test_upsampling_is_a_transposed_convolution_without_overlap():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    kernel = rng.normal(size=(2, 2, 5, 6)).astype(np.float32)
    bias = rng.normal(size=6).astype(np.float32)
    params = {"params": {"kernel": kernel, "bias": bias}}
    found = jax.jit(Upsample(6).apply)(params, x)
    expected = np.zeros((2, 6, 8, 6))
    for n, row, column in np.ndindex(2, 3, 4):
        for i, j in np.ndindex(2, 2):
            expected[n, 2 * row + i, 2 * column + j] = x[n, row, column] @ kernel[i, j] + bias
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    flax = nn.ConvTranspose(6, (2, 2), strides=(2, 2), padding="VALID", transpose_kernel=False)
    params["params"]["kernel"] = kernel[::-1, ::-1]  # it correlates where torch convolves
    np.testing.assert_allclose(jax.jit(flax.apply)(params, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", [None, GroupNormConfig(groups=4), BatchNormConfig(axis_name=None)])
def test_loss_and_predict_share_parameters_with_every_norm(norm):
    head = dataclasses.replace(CONFIG, norm=norm).build(K)
    features, positives, truth = random_inputs(0)
    key, detections = jax.random.key(0), detections_of(positives)
    loss = partial(head.init_with_output, method="loss")
    predict = partial(head.init_with_output, method="predict")
    keys = tiny.image_keys(2)
    losses, with_loss = jax.eval_shape(loss, key, features, positives, truth, keys)
    found, with_predict = jax.eval_shape(predict, key, features, detections)
    assert with_loss == with_predict
    assert found.masks.shape == losses.logits.shape == (2, 6, 8, 8)
    convs = [name for name in with_loss["params"] if name.startswith("conv")]
    assert convs == ["conv1", "conv2"]
    assert ("bias" in with_loss["params"]["conv1"]) == (norm is None)


@pytest.mark.parametrize(("num_upsamples", "side"), [(0, 4), (1, 8), (2, 16), (3, 32)])
def test_each_upsampling_doubles_the_mask(num_upsamples, side):
    config = dataclasses.replace(CONFIG, num_upsamples=num_upsamples)
    features, positives, truth = random_inputs(0)
    inputs = (features, positives, truth, tiny.image_keys(2))
    init = partial(config.build(K).init_with_output, method="loss")
    losses, variables = jax.eval_shape(init, jax.random.key(0), *inputs)
    assert config.side == side
    assert losses.logits.shape == (2, 6, side, side)
    upsamples = {name for name in variables["params"] if name.startswith("upsample")}
    assert upsamples == set(["upsample", "upsample2", "upsample3"][:num_upsamples])
    predict = partial(config.build(K).init_with_output, method="predict")
    found, with_predict = jax.eval_shape(
        predict, jax.random.key(0), features, detections_of(positives)
    )
    assert found.masks.shape == (2, 6, side, side)
    assert with_predict == variables


def test_another_number_of_upsamplings_is_refused():
    given = to_json(CONFIG) | {"num_upsamples": 4}
    with pytest.raises(InputError, match="num_upsamples: 4 is none of 0, 1, 2, 3"):
        from_json(FCNMaskHeadConfig, given, where="test")


def test_two_upsamplings_follow_each_other():
    """Every cell of the last resolution by itself: which pixel and which two patches it is from."""
    outputs = MaskOutputs(dataclasses.replace(CONFIG, num_upsamples=2), K)
    x = np.random.default_rng(3).normal(size=(2, 3, 3, 5)).astype(np.float32)
    labels = np.array([2, 0])
    variables = tiny.variables_like(outputs.init, jax.random.key(0), x, labels)
    found = jax.jit(outputs.apply)(variables, x, labels)
    first, second, last = (
        {
            name: np.asarray(values, np.float64)
            for name, values in variables["params"][layer].items()
        }
        for layer in ("upsample", "upsample2", "predictor")
    )
    expected = np.zeros((2, 12, 12, K))
    for n, row, column in np.ndindex(2, 12, 12):
        cell = x[n, row // 4, column // 4]
        cell = cell @ first["kernel"][row // 2 % 2, column // 2 % 2] + first["bias"]
        cell = np.maximum(cell, 0) @ second["kernel"][row % 2, column % 2] + second["bias"]
        expected[n, row, column] = np.maximum(cell, 0) @ last["kernel"] + last["bias"]
    expected = expected[np.arange(2), ..., labels]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_masks_of_the_classes_asked_for_are_those_among_all(class_agnostic):
    """Values and gradients; the last label is beyond all classes, which gives zeros."""
    config = dataclasses.replace(CONFIG, class_agnostic=class_agnostic, background_mask=True)
    outputs = MaskOutputs(config, K)
    rng = np.random.default_rng(6)
    x = jnp.asarray(rng.normal(size=(5, 3, 3, 8)), jnp.float32)
    labels = jnp.array([2, 0, 1, 2, 7])
    variables = tiny.variables_like(outputs.init, jax.random.key(0), x, labels)
    weight = rng.normal(size=(5, 6, 6))

    def of_asked(variables, x):
        masks = outputs.apply(variables, x, labels)
        return (masks * weight).sum(), masks

    def among_all(variables, x):
        upsample, predictor = (variables["params"][name] for name in ("upsample", "predictor"))
        x = jax.nn.relu(Upsample(config.channels).apply({"params": upsample}, x))
        masks = select_class(x @ predictor["kernel"] + predictor["bias"], labels)
        return (masks * weight).sum(), masks

    found, expected = (
        jax.jit(jax.value_and_grad(function, argnums=(0, 1), has_aux=True))(variables, x)
        for function in (of_asked, among_all)
    )
    (_, masks), (gradient, _) = found
    assert masks.shape == (5, 6, 6)
    assert bool(masks[-1].any()) == class_agnostic
    assert np.abs(gradient["params"]["predictor"]["kernel"]).max() > 0.1
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)


def test_the_loss_is_the_one_of_the_config():
    """Of the given logits and the targets of their resolution."""
    config = dataclasses.replace(CONFIG, loss=SoftMaskLossConfig(width=1.0))
    _, positives, truth = random_inputs(4)
    logits = jnp.asarray(np.random.default_rng(4).normal(size=(12, 8, 8)), jnp.float32)
    losses = jax.jit(partial(fcn_losses, config=config))(logits, positives, truth)
    targets = jax.jit(jax.vmap(partial(mask_targets, side=8, config=config.targets)))
    flat = (losses.logits, targets(truth, positives), positives.valid)
    expected = jax.jit(config.loss.build())(*(x.reshape(-1, *x.shape[2:]) for x in flat))
    np.testing.assert_allclose(losses.terms["roi_mask"], expected, rtol=1e-6)
    np.testing.assert_array_equal(losses.logits.reshape(logits.shape), logits)


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_the_prediction_is_the_probability_of_the_own_class(class_agnostic):
    head = dataclasses.replace(CONFIG, num_convs=0, class_agnostic=class_agnostic).build(K)
    features, positives, _ = random_inputs(1)
    detections = detections_of(positives)
    init = partial(head.init, method="predict")
    variables = tiny.variables_like(init, jax.random.key(0), features, detections)
    predictor = variables["params"]["predictor"]
    predictor["kernel"] *= 0
    predictor["bias"] = jnp.asarray([-1.0] if class_agnostic else [0.0, 1.0, 2.0])
    found = jax.jit(partial(head.apply, method="predict"))(variables, features, detections)
    logits = np.full((2, 6), -1.0) if class_agnostic else np.asarray(detections.labels)
    expected = np.broadcast_to(1 / (1 + np.exp(-logits))[..., None, None], (2, 6, 8, 8))
    np.testing.assert_allclose(found.masks, expected, rtol=1e-6)
    np.testing.assert_array_equal(found.boxes, detections.boxes)


def test_invalid_positives_may_hold_anything_and_are_not_in_the_statistics():
    head = dataclasses.replace(CONFIG, norm=BatchNormConfig(axis_name=None)).build(K)
    features, positives, truth = random_inputs(2)
    spoilt = with_garbage(positives)

    def loss(params, statistics, samples, truth):
        losses, updates = head.apply(
            {"params": params, "batch_stats": statistics},
            features,
            samples,
            truth,
            tiny.image_keys(2),
            method="loss",
            mutable=["batch_stats"],
        )
        return losses.terms["roi_mask"].mean, updates["batch_stats"]

    init = partial(head.init, method="loss")
    variables = tiny.variables_like(
        init, jax.random.key(0), features, positives, truth, tiny.image_keys(2)
    )
    params, before = variables["params"], variables["batch_stats"]
    total = jax.jit(jax.value_and_grad(loss, has_aux=True))
    clean = total(params, before, positives, truth)
    dirty = total(params, before, spoilt, tiny.with_garbage(truth))
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)

    (mean, statistics), _ = clean
    assert mean > 0.1
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), statistics, before)
    assert all(jax.tree.leaves(moved))
    fewer = jax.tree.map(lambda x: x[:, :5], positives)  # the last one is not valid
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, jax.jit(loss)(params, before, fewer, truth), (mean, statistics))
