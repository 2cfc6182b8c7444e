"""PointRend against an obvious slow version, in float64. Few programs, which the tests share."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.ops.point_sampling import draw_points
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.mask.point_rend import (
    PointRendMaskHeadConfig,
    SubdivisionConfig,
)
from maskrcnn_jax.roi.mask.targets import mask_targets, point_targets
from maskrcnn_jax.structures import Detections, Samples
from tests import tiny

K = tiny.NUM_CLASSES
_TINY = tiny.point_rend()
_EXACT = dataclasses.replace(_TINY.subdivision, points_in_float32=False)
CONFIG = dataclasses.replace(_TINY, subdivision=_EXACT)
HEAD = CONFIG.build(K)
NUM_ROIS = 4
STRIDE = 4


def random_inputs(seed):
    """Features, positives of which the last is not valid, and objects, of two images."""
    rng = np.random.default_rng(seed)
    features = {2: jnp.asarray(rng.normal(size=(2, 16, 24, 5)))}
    truth = jax.tree.map(lambda *x: jnp.stack(x), *[tiny.random_truth(rng, 3) for _ in range(2)])
    truth = jax.tree.map(
        lambda x: x.astype(jnp.result_type(float)) if x.dtype == jnp.float32 else x, truth
    )
    matched = rng.integers(0, 3, (2, NUM_ROIS))
    boxes = np.stack([np.asarray(truth.boxes)[i, matched[i]] for i in range(2)])
    boxes = boxes + rng.uniform(-4, 4, boxes.shape)
    boxes[0, 0] = [60.5, 30.2, 96, 64]  # up to the border of the image
    positives = Samples(
        boxes=jnp.asarray(boxes),
        labels=jnp.asarray(np.stack([truth.labels[i, matched[i]] for i in range(2)])),
        matched=jnp.asarray(matched),
        valid=jnp.arange(NUM_ROIS) < jnp.asarray([[NUM_ROIS - 1], [2]]),
    )
    return features, positives, truth


def detections_of(samples):
    ones = jnp.ones(samples.labels.shape)
    return Detections(
        boxes=samples.boxes, scores=ones, labels=samples.labels,
        masks=jnp.zeros((*samples.labels.shape, 0, 0)), mask_frames=samples.boxes,
        mask_scores=ones, valid=samples.valid,
    )  # fmt: skip


def variables(features, positives):
    """Of larger numbers than the initial ones, so that no logit is near another."""
    init = partial(HEAD.init, method="predict")
    template = jax.eval_shape(init, jax.random.key(0), features, detections_of(positives))
    rng = np.random.default_rng(7)
    return jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape) / np.sqrt(max(x.shape[0], 4) / 4)), template
    )


predict = jax.jit(partial(HEAD.apply, method="predict"))


@jax.jit
def loss_and_gradient(params, features, positives, truth, keys):
    def total(params, features):
        losses = HEAD.apply(params, features, positives, truth, keys, method="loss")
        return sum(term.mean for term in losses.terms.values()), losses

    return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(params, features)


def bilinear(feature_map, x, y):
    """With zeros around the map."""
    rows = np.maximum(0, 1 - np.abs(y - 0.5 - np.arange(feature_map.shape[0])))
    columns = np.maximum(0, 1 - np.abs(x - 0.5 - np.arange(feature_map.shape[1])))
    return np.einsum("y,x,yxc->c", rows, columns, feature_map)


def dense(layer, x):
    return x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


class Slow:
    """The head of one RoI, point by point and class by class."""

    def __init__(self, params, feature_map, box):
        self.params = params["params"]
        self.feature_map, self.box = np.asarray(feature_map), np.asarray(box)
        self.coarse = self._coarse()  # [k, k, q]

    def features(self, point):
        x, y = (self.box[:2] + point * (self.box[2:] - self.box[:2])) / STRIDE
        return bilinear(self.feature_map, x, y)

    def _coarse(self):
        layers, side = self.params["coarse"], CONFIG.coarse.side
        kernel = np.asarray(layers["conv"]["kernel"])
        x = np.zeros((side, side, CONFIG.coarse.channels))
        for row, column, i, j in np.ndindex(side, side, 2, 2):
            point = np.array([2 * column + j + 0.5, 2 * row + i + 0.5]) / (2 * side)
            x[row, column] += self.features(point) @ kernel[i, j]
        x = np.maximum(x + np.asarray(layers["conv"]["bias"]), 0).ravel()
        for name in ("fc1", "fc2"):
            x = np.maximum(dense(layers[name], x), 0)
        return dense(layers["predictor"], x).reshape(K, side, side).transpose(1, 2, 0)

    def logit(self, point, label):
        coarse = bilinear(self.coarse, *(point * CONFIG.coarse.side))
        x = self.features(point)
        for index in range(CONFIG.point.num_layers):
            x = np.concatenate([x, coarse])
            x = np.maximum(dense(self.params["point"][f"fc{index + 1}"], x), 0)
        return dense(self.params["point"]["predictor"], np.concatenate([x, coarse]))[label]

    def mask(self, label):
        """Every doubling is written out: 6x6 by the point head, then 12x12 with 40 points anew."""
        logits = np.zeros((6, 6))
        for row, column in np.ndindex(6, 6):
            logits[row, column] = self.logit(np.array([column + 0.5, row + 0.5]) / 6, label)
        extended = np.pad(logits, 1, mode="edge")[..., None]
        logits = np.zeros((12, 12))
        for row, column in np.ndindex(12, 12):
            x, y = (column + 0.5) / 2 + 1, (row + 0.5) / 2 + 1
            logits[row, column] = bilinear(extended, x, y)[0]
        for place in np.argsort(np.abs(logits).ravel(), kind="stable")[:40]:
            row, column = divmod(int(place), 12)
            logits[row, column] = self.logit(np.array([column + 0.5, row + 0.5]) / 12, label)
        return 1 / (1 + np.exp(-logits))


def cross_entropy(logit, target):
    return np.logaddexp(0, logit) - logit * target


def test_masks_are_those_of_the_slow_version(x64):
    features, positives, _ = random_inputs(0)
    params = variables(features, positives)
    found = predict(params, features, detections_of(positives))
    assert found.masks.shape == (2, NUM_ROIS, CONFIG.side, CONFIG.side)
    for i, j in np.argwhere(positives.valid):
        slow = Slow(params, features[2][i], positives.boxes[i, j])
        expected = slow.mask(int(positives.labels[i, j]))
        np.testing.assert_allclose(found.masks[i, j], expected, rtol=1e-9)
        assert np.ptp(expected) > 0.1


@jax.jit
@jax.vmap
def points_and_targets(logits, truth, positives, key):
    """What the losses of an image are about; each part has a slow version of its own."""
    points = draw_points(logits, key, **dataclasses.asdict(CONFIG.sampling))
    masks = mask_targets(truth, positives, side=CONFIG.coarse.side, config=CONFIG.targets)
    return points, masks, point_targets(truth, positives, points)


def test_losses_are_those_of_the_slow_version(x64):
    features, positives, truth = random_inputs(1)
    params, keys = variables(features, positives), tiny.image_keys(2)
    (total, losses), _ = loss_and_gradient(params, features, positives, truth, keys)
    points, masks, seen = jax.tree.map(
        np.asarray, points_and_targets(losses.logits, truth, positives, keys)
    )
    coarse, fine = [], []
    for i, j in np.argwhere(positives.valid):
        slow = Slow(params, features[2][i], positives.boxes[i, j])
        label = int(positives.labels[i, j])
        own = slow.coarse[..., label]
        np.testing.assert_allclose(losses.logits[i, j], own, rtol=1e-9)
        coarse.append(cross_entropy(own, masks[i, j]))
        logits = [slow.logit(point, label) for point in points[i, j]]
        fine.append(cross_entropy(np.array(logits), seen[i, j]))
    assert losses.terms.keys() == {"roi_mask", "roi_mask_point"}
    np.testing.assert_allclose(losses.terms["roi_mask"].mean, np.mean(coarse), rtol=1e-9)
    np.testing.assert_allclose(losses.terms["roi_mask_point"].mean, np.mean(fine), rtol=1e-9)
    np.testing.assert_allclose(total, np.mean(coarse) + np.mean(fine), rtol=1e-9)


def test_invalid_entries_may_hold_anything(x64):
    features, positives, truth = random_inputs(2)
    params, keys, valid = variables(features, positives), tiny.image_keys(2), positives.valid
    spoilt = Samples(
        boxes=jnp.where(valid[..., None], positives.boxes, jnp.nan),
        labels=jnp.where(valid, positives.labels, -(2**30)),
        matched=jnp.where(valid, positives.matched, 4),
        valid=valid,
    )
    clean = loss_and_gradient(params, features, positives, truth, keys)
    dirty = loss_and_gradient(params, features, spoilt, tiny.with_garbage(truth), keys)
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    (total, _), gradients = clean
    assert all(np.any(x) for x in jax.tree.leaves(gradients))
    assert total > 0.1

    masks = [predict(params, features, detections_of(x)).masks for x in (positives, spoilt)]
    np.testing.assert_array_equal(masks[0][valid], masks[1][valid])


def test_without_positives_losses_and_gradients_are_zero(x64):
    features, positives, truth = random_inputs(3)
    params = variables(features, positives)
    positives = dataclasses.replace(positives, valid=jnp.zeros_like(positives.valid))
    (total, _), gradients = loss_and_gradient(
        params, features, positives, truth, tiny.image_keys(2)
    )
    assert total == 0
    assert not any(np.any(x) for x in jax.tree.leaves(gradients))


def test_loss_and_predict_create_the_same_variables():
    features, positives, truth = random_inputs(4)
    keys, detections = tiny.image_keys(2), detections_of(positives)
    loss, predict = (partial(HEAD.init, method=method) for method in ("loss", "predict"))
    with_loss = jax.eval_shape(loss, keys[0], features, positives, truth, keys)
    assert with_loss == jax.eval_shape(predict, keys[0], features, detections)


def test_doublings_that_would_leave_no_point_are_skipped():
    assert SubdivisionConfig().sides(7) == (28, 56, 112, 224)
    assert SubdivisionConfig(num_points=783).sides(7) == (14, 28, 56, 112, 224)
    assert SubdivisionConfig(num_points=10).sides(7) == (7, 14, 28, 56, 112, 224)
    assert SubdivisionConfig(steps=1).sides(7) == (14,)
    assert PointRendMaskHeadConfig().side == 224


def test_it_is_the_mask_head_of_each_stage_of_a_cascade():
    roi = CascadeRoIHeadConfig(mask=CONFIG, resample=True)
    model = dataclasses.replace(tiny.tiny_config(), roi=roi).build()
    batch, keys = tiny.random_batch(0), tiny.image_keys(2)
    loss, predict = (partial(model.init_with_output, method=verb) for verb in ("loss", "predict"))
    losses, with_loss = jax.eval_shape(loss, keys[0], batch, keys)
    found, with_predict = jax.eval_shape(predict, keys[0], batch)
    expected = {f"{name}_{i}" for name in ("roi_mask", "roi_mask_point") for i in range(3)}
    assert {name for name in losses if "mask" in name} == expected
    assert found.masks.shape[-2:] == (CONFIG.side, CONFIG.side)
    assert with_loss == with_predict
