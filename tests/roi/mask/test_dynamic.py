import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.mask_features import MaskFeaturesConfig
from maskrcnn_jax.norms import GroupNormConfig
from maskrcnn_jax.roi.mask.dynamic import DynamicMaskHeadConfig, crop
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.structures import Detections, Samples
from tests import tiny

CONFIG = DynamicMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=4, samples_per_cell=1),
    num_convs=1,
    channels=8,
    mask_features=MaskFeaturesConfig(channels=8, outputs=4, norm=GroupNormConfig(groups=2)),
    side=10,
)
HEAD = CONFIG.build(tiny.NUM_CLASSES)


def random_inputs(seed=0):
    """Features of two images, three samples of each, the last of which is not valid, and truth."""
    rng = np.random.default_rng(seed)
    features = {
        level: jnp.asarray(
            rng.normal(size=(2, tiny.HEIGHT // 2**level, tiny.WIDTH // 2**level, 16)), jnp.float32
        )
        for level in range(2, 6)
    }
    truth = jax.tree.map(lambda *x: jnp.stack(x), *(tiny.random_truth(rng, 3) for _ in range(2)))
    samples = Samples(
        boxes=truth.boxes[:, :3] + 1,
        labels=truth.labels[:, :3],
        matched=jnp.tile(jnp.arange(3), (2, 1)),
        valid=jnp.array([[True, True, False]] * 2),
    )
    return features, samples, truth, tiny.image_keys(2)


FEATURES, SAMPLES, TRUTH, KEYS = random_inputs()
VARIABLES = tiny.variables_like(
    partial(HEAD.init, method="loss"), jax.random.key(0), FEATURES, SAMPLES, TRUTH, KEYS
)


@jax.jit
def loss_and_gradient(params, samples):
    def total(params):
        found = HEAD.apply({"params": params}, FEATURES, samples, TRUTH, KEYS, method="loss")
        return sum(term.mean for term in found.terms.values()), found

    return jax.value_and_grad(total, has_aux=True)(params)


def found_with(samples):
    (_, found), gradient = loss_and_gradient(VARIABLES["params"], samples)
    return found, gradient


def slow_crop(image, box, side):
    """Bilinear between the centres of pixels of stride 4, one cell at a time."""
    x1, y1, x2, y2 = np.float64(box) / 4
    out = np.zeros((side, side, image.shape[-1]))
    for i in range(side):
        for j in range(side):
            y = np.clip(y1 + (i + 0.5) * (y2 - y1) / side - 0.5, 0, image.shape[0] - 1)
            x = np.clip(x1 + (j + 0.5) * (x2 - x1) / side - 0.5, 0, image.shape[1] - 1)
            top, left = min(int(y), image.shape[0] - 2), min(int(x), image.shape[1] - 2)
            v, u = y - top, x - left
            patch = image[top : top + 2, left : left + 2]
            out[i, j] = np.einsum("i,j,ijc->c", [1 - v, v], [1 - u, u], patch)
    return out


def test_a_crop_is_that_of_the_slow_loop():
    found = crop(FEATURES[2], SAMPLES.boxes, SAMPLES.valid, side=CONFIG.side)
    for image in range(2):
        for i in range(2):  # those that are valid
            expected = slow_crop(np.asarray(FEATURES[2][image]), SAMPLES.boxes[image, i], 10)
            np.testing.assert_allclose(found[image, i], expected, atol=1e-5)


def test_a_convolved_crop_is_a_crop_of_the_convolution():
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(16, 1)), jnp.float32)
    boxes, valid = SAMPLES.boxes, SAMPLES.valid
    np.testing.assert_allclose(
        crop(FEATURES[2], boxes, valid, side=10) @ kernel,
        crop(FEATURES[2] @ kernel, boxes, valid, side=10),
        atol=1e-5,
    )


def test_every_part_is_trained():
    found, gradient = found_with(SAMPLES)
    assert found.logits.shape == (2, 3, 10, 10)
    assert set(found.terms) == {"roi_mask", "roi_mask_dice"}
    assert found.terms["roi_mask"].count == 4 * 100
    assert found.terms["roi_mask_dice"].count == 4
    for path, x in jax.tree.leaves_with_path(gradient):
        assert jnp.isfinite(x).all(), path
        assert x.any(), path


def test_samples_that_are_not_valid_change_nothing():
    keep = SAMPLES.valid
    spoilt = dataclasses.replace(
        SAMPLES,
        boxes=jnp.where(keep[..., None], SAMPLES.boxes, jnp.nan),
        labels=jnp.where(keep, SAMPLES.labels, 2**30),
        matched=jnp.where(keep, SAMPLES.matched, 1),
    )
    (found, gradient), (expected, expected_gradient) = found_with(spoilt), found_with(SAMPLES)
    jax.tree.map(np.testing.assert_array_equal, found.terms, expected.terms)
    jax.tree.map(np.testing.assert_array_equal, gradient, expected_gradient)


def test_without_positives_there_is_nothing_to_learn():
    found, gradient = found_with(dataclasses.replace(SAMPLES, valid=jnp.zeros_like(SAMPLES.valid)))
    assert all(term.sum == term.count == 0 for term in found.terms.values())
    assert not any(x.any() for x in jax.tree.leaves(gradient))


def test_predict_gives_the_masks_that_loss_has_trained():
    scores = jnp.ones((2, 3))
    detections = Detections(
        boxes=SAMPLES.boxes,
        scores=scores,
        labels=SAMPLES.labels,
        masks=jnp.zeros((2, 3, 0, 0)),
        mask_frames=SAMPLES.boxes,
        mask_scores=scores,
        valid=SAMPLES.valid,
    )
    found = HEAD.apply(VARIABLES, FEATURES, detections, method="predict")
    trained, _ = found_with(SAMPLES)
    np.testing.assert_allclose(found.masks, jax.nn.sigmoid(trained.logits), atol=1e-5)
    created = jax.eval_shape(
        partial(HEAD.init, method="predict"), jax.random.key(0), FEATURES, detections
    )
    assert jax.tree.map(jnp.shape, VARIABLES) == jax.tree.map(jnp.shape, created)


@pytest.mark.parametrize("kind", ["standard", "cascade"])
def test_it_composes_with_boxes_that_know_no_class(kind):
    """So that nothing of the second stage but the scores depends on the class."""
    config = tiny.tiny_config()
    if kind == "cascade":  # its boxes are always such
        config = tiny.as_cascade(config, mmdetection)
    box = dataclasses.replace(config.roi.box, class_agnostic=True)
    roi = dataclasses.replace(config.roi, mask=CONFIG, box=box)
    model, batch = dataclasses.replace(config, roi=roi).build(), tiny.random_batch(0)
    key, keys = jax.random.key(0), tiny.image_keys(2)
    losses, with_loss = jax.eval_shape(
        partial(model.init_with_output, method="loss"), key, batch, keys
    )
    found, with_predict = jax.eval_shape(
        partial(model.init_with_output, method="predict"), key, batch
    )
    suffix = "_0" if kind == "cascade" else ""
    assert {f"roi_mask{suffix}", f"roi_mask_dice{suffix}"} < set(losses)
    assert found.masks.shape == (2, 10, 10, 10)
    assert with_loss == with_predict
