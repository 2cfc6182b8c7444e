import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.norms import BatchNormConfig, GroupNormConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig, Upsample
from maskrcnn_jax.roi.mask.losses import mask_loss, select_class
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.structures import Detections, Samples
from tests import tiny

K = tiny.NUM_CLASSES
CONFIG = FCNMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=4, samples_per_cell=1), num_convs=2, channels=8
)


def random_logits(seed, *, count=6, side=8, classes=K):
    rng = np.random.default_rng(seed)
    return {
        "logits": jnp.asarray(rng.normal(size=(count, side, side, classes)), jnp.float32),
        "targets": jnp.asarray(rng.random((count, side, side)) < 0.5, jnp.float32),
        "labels": jnp.asarray(rng.integers(0, K, count)),
        "valid": jnp.arange(count) < count - 2,
    }


def class_loss(logits, targets, labels, valid):
    return mask_loss(select_class(logits, labels), targets, valid)


@jax.jit
def loss_and_gradient(logits, targets, labels, valid):
    return jax.value_and_grad(lambda x: class_loss(x, targets, labels, valid).sum)(logits)


@pytest.mark.parametrize("classes", [K, 1])
def test_the_loss_equals_the_slow_loop(classes):
    given = random_logits(0, classes=classes)
    expected = 0.0
    for i in range(4):
        channel = int(given["labels"][i]) if classes > 1 else 0
        p = 1 / (1 + np.exp(-np.float64(given["logits"][i, :, :, channel])))
        expected -= np.where(given["targets"][i] > 0, np.log(p), np.log(1 - p)).sum()
    loss = class_loss(**given)
    np.testing.assert_allclose(loss.sum, expected, rtol=1e-5)
    assert loss.count == 4 * 8 * 8


def test_only_the_mask_of_the_true_class_is_trained():
    given = random_logits(1)
    _, gradient = loss_and_gradient(**given)
    trained = np.all(np.asarray(gradient) != 0, axis=(1, 2))
    touched = np.any(np.asarray(gradient) != 0, axis=(1, 2))
    true_class = np.asarray(given["labels"])[:, None] == np.arange(K)
    expected = true_class & np.asarray(given["valid"])[:, None]
    np.testing.assert_array_equal(trained, expected)
    np.testing.assert_array_equal(touched, expected)


def test_invalid_entries_may_hold_anything():
    given = random_logits(2)
    valid = given["valid"]
    spoilt = {
        "logits": jnp.where(valid[:, None, None, None], given["logits"], jnp.nan),
        "targets": jnp.where(valid[:, None, None], given["targets"], jnp.nan),
        "labels": jnp.where(valid, given["labels"], 2**30),
        "valid": valid,
    }
    jax.tree.map(
        np.testing.assert_array_equal, loss_and_gradient(**given), loss_and_gradient(**spoilt)
    )


def test_without_positives_the_loss_and_its_gradient_are_zero():
    given = random_logits(3) | {"valid": jnp.zeros(6, bool)}
    loss, gradient = loss_and_gradient(**given)
    assert loss == 0
    assert not np.any(gradient)
    assert class_loss(**given).mean == 0


def test_the_class_picks_the_mask():
    logits = random_logits(4)["logits"]
    labels = jnp.asarray([0, 1, 2, 2, 1, 0])
    picked = select_class(logits, labels)
    expected = np.stack([logits[i, :, :, label] for i, label in enumerate(labels)])
    np.testing.assert_array_equal(picked, expected)
    np.testing.assert_array_equal(select_class(logits[..., :1], labels + 5), logits[..., 0])


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


def random_inputs(seed, count=6):
    rng = np.random.default_rng(seed)
    features = {
        level: jnp.asarray(rng.normal(size=(2, 64 >> level, 96 >> level, 16)), jnp.float32)
        for level in (2, 3, 4, 5)
    }
    truth = jax.tree.map(lambda *x: jnp.stack(x), *[tiny.random_truth(rng, 3) for _ in range(2)])
    matched = rng.integers(0, 3, (2, count))
    positives = Samples(
        boxes=jnp.asarray(np.stack([truth.boxes[i, matched[i]] + 1.5 for i in range(2)])),
        labels=jnp.asarray(np.stack([truth.labels[i, matched[i]] for i in range(2)])),
        matched=jnp.asarray(matched),
        valid=jnp.arange(count) < jnp.asarray([[count - 1], [2]]),
    )
    return features, positives, truth


def detections_of(samples):
    return Detections(
        boxes=samples.boxes,
        scores=jnp.ones(samples.labels.shape),
        labels=samples.labels,
        masks=jnp.zeros((*samples.labels.shape, 0, 0)),
        mask_frames=samples.boxes,
        mask_scores=jnp.ones(samples.labels.shape),
        valid=samples.valid,
    )


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
    valid = positives.valid
    spoilt = Samples(
        boxes=jnp.where(valid[..., None], positives.boxes, jnp.nan),
        labels=jnp.where(valid, positives.labels, -(2**30)),
        matched=jnp.where(valid, positives.matched, 4),
        valid=valid,
    )

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
