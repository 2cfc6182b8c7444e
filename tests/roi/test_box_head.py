import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.roi.box_head import BoxHead, BoxHeadConfig, box_losses, refined_positives
from maskrcnn_jax.structures import Samples
from tests import tiny

K = tiny.NUM_CLASSES


def random_samples(seed, count=10):
    """Samples of two images; the last two of each are not valid."""
    rng = np.random.default_rng(seed)
    valid = jnp.broadcast_to(jnp.arange(count) < count - 2, (2, count))
    samples = Samples(
        boxes=jnp.asarray(tiny.random_boxes(rng, 2 * count).reshape(2, count, 4)),
        labels=jnp.asarray(rng.integers(0, K + 1, (2, count))),
        matched=jnp.zeros((2, count), jnp.int32),
        valid=valid,
    )
    truth_boxes = jnp.asarray(tiny.random_boxes(rng, 2 * count).reshape(2, count, 4))
    return samples, truth_boxes


def random_outputs(seed, *, boxes_per_roi=K, count=10):
    rng = np.random.default_rng(seed)
    shapes = (2, count, K + 1), (2, count, 4 * boxes_per_roi)
    return tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)


def slow_losses(outputs, samples, truth_boxes, config):
    logits, deltas = outputs
    classification = regression = 0.0
    for image, i in np.argwhere(samples.valid):
        label = samples.labels[image, i]
        p = np.exp(logits[image, i])
        classification -= np.log(p[label] / p.sum())
        if label == K:
            continue
        x1, y1, x2, y2 = np.asarray(samples.boxes[image, i])
        a1, b1, a2, b2 = np.asarray(truth_boxes[image, i])
        wanted = config.box_weights * np.array(
            [
                (a1 + a2 - x1 - x2) / 2 / (x2 - x1),
                (b1 + b2 - y1 - y2) / 2 / (y2 - y1),
                np.log((a2 - a1) / (x2 - x1)),
                np.log((b2 - b1) / (y2 - y1)),
            ]
        )
        first = 0 if config.class_agnostic else 4 * label
        error = np.abs(deltas[image, i, first : first + 4] - wanted)
        beta = config.smooth_l1_beta
        small = error**2 / (2 * beta) if beta else error
        regression += np.where(error < beta, small, error - beta / 2).sum()
    return classification, regression


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_losses_equal_the_slow_loop(class_agnostic, beta):
    config = BoxHeadConfig(class_agnostic=class_agnostic, smooth_l1_beta=beta)
    samples, truth_boxes = random_samples(0)
    outputs = random_outputs(1, boxes_per_roi=1 if class_agnostic else K)
    losses = jax.jit(partial(box_losses, config=config))(*outputs, samples, truth_boxes)
    classification, regression = slow_losses(outputs, samples, truth_boxes, config)
    np.testing.assert_allclose(losses["roi_class"].sum, classification, rtol=1e-5)
    np.testing.assert_allclose(losses["roi_box"].sum, regression, rtol=1e-5)
    assert losses["roi_class"].count == losses["roi_box"].count == 16


@jax.jit
@partial(jax.value_and_grad, has_aux=True)
def total(outputs, samples, truth_boxes):
    logits, deltas = outputs
    losses = box_losses(logits, deltas, samples, truth_boxes, config=BoxHeadConfig())
    return losses["roi_class"].sum + losses["roi_box"].sum, losses


def test_only_the_deltas_of_the_true_class_are_trained():
    samples, truth_boxes = random_samples(2)
    _, (_, gradient) = total(random_outputs(3), samples, truth_boxes)
    trained = np.any(np.asarray(gradient).reshape(2, 10, K, 4), axis=-1)
    true_class = np.asarray(samples.labels)[..., None] == np.arange(K)
    np.testing.assert_array_equal(trained, true_class & np.asarray(samples.valid)[..., None])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_invalid_samples_may_hold_anything(garbage):
    samples, truth_boxes = random_samples(4)
    valid = samples.valid[..., None]
    dirty = Samples(
        boxes=jnp.where(valid, samples.boxes, garbage),
        labels=jnp.where(samples.valid, samples.labels, 2**30),
        matched=jnp.where(samples.valid, samples.matched, -5),
        valid=samples.valid,
    )
    outputs = random_outputs(5)
    spoilt = tuple(jnp.where(valid, x, garbage) for x in outputs)
    jax.tree.map(
        np.testing.assert_array_equal,
        total(outputs, samples, truth_boxes),
        total(spoilt, dirty, jnp.where(valid, truth_boxes, garbage)),
    )


def test_background_has_no_true_box():
    samples, truth_boxes = random_samples(6)
    is_object = (samples.labels < K)[..., None]
    jax.tree.map(
        np.testing.assert_array_equal,
        total(random_outputs(7), samples, truth_boxes),
        total(random_outputs(7), samples, jnp.where(is_object, truth_boxes, jnp.nan)),
    )


@pytest.mark.parametrize(("class_agnostic", "deltas"), [(False, 4 * K), (True, 4)])
def test_two_hidden_layers_and_background_last(class_agnostic, deltas):
    head = BoxHead(BoxHeadConfig(hidden=8, class_agnostic=class_agnostic), K)
    pooled = jnp.zeros((2, 5, 7, 7, 3))
    outputs, variables = jax.eval_shape(head.init_with_output, jax.random.key(0), pooled)
    assert [x.shape for x in outputs] == [(2, 5, K + 1), (2, 5, deltas)]
    kernels = {name: p["kernel"].shape for name, p in variables["params"].items()}
    assert kernels == {
        "fc1": (7 * 7 * 3, 8),
        "fc2": (8, 8),
        "classes": (8, K + 1),
        "deltas": (8, deltas),
    }


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_positives_are_refined_by_the_deltas_of_their_true_classes(class_agnostic):
    config = BoxHeadConfig(class_agnostic=class_agnostic)
    samples, truth_boxes = random_samples(9)
    samples = dataclasses.replace(samples, valid=samples.valid & (samples.labels < K))
    wanted = box_ops.encode(truth_boxes, samples.boxes, config.box_weights)
    is_own = samples.labels[..., None] == jnp.arange(K)
    per_class = jnp.where(is_own[..., None], wanted[..., None, :], 7.0).reshape(2, -1, 4 * K)
    deltas = wanted if class_agnostic else per_class
    found = refined_positives(deltas, samples, config=config)
    np.testing.assert_allclose(
        found.boxes[samples.valid], truth_boxes[samples.valid], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(found.labels, samples.labels)
    gradient = jax.grad(lambda x: refined_positives(x, samples, config=config).boxes.sum())(deltas)
    assert not gradient.any()
