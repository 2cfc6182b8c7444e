"""The head that judges masks. Three programs are compiled, and all tests share them."""

import dataclasses
import functools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.norms import BatchNormConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig, largest_in_cells, mask_iou_targets
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets, object_share
from maskrcnn_jax.roi.pooling import RoIAlignConfig, pool
from maskrcnn_jax.roi.stages import average_masks
from maskrcnn_jax.structures import Proposals
from tests import tiny
from tests.roi.mask.test_fcn import detections_of, random_inputs

K = tiny.NUM_CLASSES
# With targets as torchvision has them, which the judge must know.
FCN = FCNMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=4, samples_per_cell=1),
    num_convs=1,
    channels=8,
    targets=MaskTargetConfig(soft=True, half_pixel=False),
)
CONFIG = MaskScoringConfig(head=FCN, pooling=FCN.pooling, channels=6, hidden=10)
KEYS = tiny.image_keys(2)


def outputs(config, verb):
    """Shapes of what a verb returns, and of the variables it creates."""
    features, positives, truth = random_inputs(0)
    inputs = (positives, truth, KEYS) if verb == "loss" else (detections_of(positives),)
    init = partial(config.build(K).init_with_output, method=verb)
    return jax.eval_shape(init, jax.random.key(0), features, *inputs)


@functools.cache
def random_variables() -> Any:
    features, positives, _ = random_inputs(0)
    init = partial(CONFIG.build(K).init, method="predict")
    return tiny.variables_like(init, jax.random.key(0), features, detections_of(positives))


@jax.jit
@partial(jax.value_and_grad, has_aux=True, argnums=(0, 1))
def _loss(variables, features, positives, truth, weights):
    losses: Any = CONFIG.build(K).apply(variables, features, positives, truth, KEYS, method="loss")
    return sum(weights[name] * term.mean for name, term in losses.terms.items()), losses


def loss(*inputs, name=None, variables=None):
    """Losses, and the gradients of all or one of them with respect to variables and features."""
    weights = {term: float(name in (None, term)) for term in ("roi_mask", "roi_mask_iou")}
    variables = random_variables() if variables is None else variables
    (_, losses), gradients = _loss(variables, *inputs, weights)
    return losses, gradients


@jax.jit
def _predict(variables, features, detections) -> Any:
    alone: Any = {"params": {n: x for n, x in variables["params"].items() if n != "iou"}}
    return (
        CONFIG.build(K).apply(variables, features, detections, method="predict"),
        FCN.build(K).apply(alone, features, detections, method="predict"),
        pool(features, detections.boxes, detections.valid, config=CONFIG.pooling),
    )


def predictions(features, detections) -> Any:
    """Of the head, of the wrapped one alone, and what the judge sees of the features."""
    return _predict(random_variables(), features, detections)


def predict(features, detections):
    return predictions(features, detections)[0]


@jax.jit
@jax.vmap
def targets_of(truth, positives, logits):
    """The IoU of each mask, and from what it follows."""
    config = MaskTargetConfig(half_pixel=False)
    wanted = mask_targets(truth, positives, side=logits.shape[-1], config=config)
    found = mask_iou_targets(truth, positives, logits, config=config)
    return found, object_share(truth, positives), wanted > 0


# Both verbs


@pytest.mark.parametrize("norm", [None, BatchNormConfig(axis_name=None)])
def test_loss_and_predict_share_variables_and_the_wrapped_head_keeps_its_names(norm):
    config = dataclasses.replace(CONFIG, head=dataclasses.replace(FCN, norm=norm))
    (losses, with_loss), (found, with_predict) = (
        outputs(config, verb) for verb in ("loss", "predict")
    )
    assert with_loss == with_predict
    (plain_losses, plain), (plain_found, _) = (
        outputs(config.head, verb) for verb in ("loss", "predict")
    )
    assert {n: x for n, x in with_loss["params"].items() if n != "iou"} == plain["params"]
    assert with_loss.get("batch_stats") == plain.get("batch_stats")
    assert with_loss["params"]["iou"]["conv1"]["kernel"].shape == (3, 3, 16 + 1, 6)
    assert with_loss["params"]["iou"]["fc1"]["kernel"].shape == (2 * 2 * 6, 10)
    assert losses.terms.keys() == plain_losses.terms.keys() | {"roi_mask_iou"}
    assert losses.logits.shape == plain_losses.logits.shape
    assert found.masks.shape == plain_found.masks.shape
    assert found.mask_scores.shape == found.scores.shape


def test_the_wrapped_head_finds_what_it_finds_alone():
    features, positives, _ = random_inputs(1)
    found, alone, _ = predictions(features, detections_of(positives))
    np.testing.assert_allclose(found.masks, alone.masks, atol=1e-6)
    np.testing.assert_array_equal(found.scores, alone.scores)
    assert (found.mask_scores != alone.mask_scores)[found.valid].all()


# Against slow loops


def slow_iou(params, pooled, mask):
    """Predicted IoUs of one RoI [o, o, c] with a mask of twice its side."""
    side = len(pooled)
    largest = mask.reshape(side, 2, side, 2).max((1, 3))
    x = np.concatenate([pooled, largest[..., None]], axis=-1).astype(np.float64)
    for index in range(1, 5):
        layer = params[f"conv{index}"]
        kernel, bias = np.float64(layer["kernel"]), np.float64(layer["bias"])
        maps = [
            sum(
                signal.correlate2d(x[..., i], kernel[..., i, o], mode="same")
                for i in range(x.shape[-1])
            )
            for o in range(kernel.shape[-1])
        ]
        x = np.maximum(np.stack(maps, -1) + bias, 0)
    x = x[::2, ::2].reshape(-1)
    for name in ("fc1", "fc2"):
        x = np.maximum(x @ np.float64(params[name]["kernel"]) + params[name]["bias"], 0)
    return x @ np.float64(params["predictor"]["kernel"]) + params["predictor"]["bias"]


def slow_predictions(pooled, valid, masks, labels):
    """The predicted IoU of each mask with its class."""
    params = random_variables()["params"]["iou"]
    found = np.zeros(labels.shape)
    for i in zip(*np.nonzero(np.asarray(valid)), strict=True):
        found[i] = slow_iou(params, np.asarray(pooled[i]), np.asarray(masks[i]))[labels[i]]
    return found


def test_mask_scores_are_scores_times_the_predicted_iou():
    features, positives, _ = random_inputs(2)
    scores = jnp.asarray(np.random.default_rng(2).uniform(size=positives.labels.shape), jnp.float32)
    found, _, pooled = predictions(
        features, dataclasses.replace(detections_of(positives), scores=scores)
    )
    iou = slow_predictions(pooled, found.valid, found.masks, np.asarray(found.labels))
    assert np.ptp(iou[np.asarray(found.valid)]) > 0.1
    np.testing.assert_allclose(found.mask_scores, scores * iou, rtol=1e-4, atol=1e-5)
    assert not found.mask_scores[~found.valid].any()


def slow_share(frame, mask, box):
    """Areas counted at many points of the image."""
    y, x = (np.mgrid[:640, :960] + 0.5) / 10
    x1, y1, x2, y2 = frame
    row, column = ((y - y1) / (y2 - y1) * len(mask)), ((x - x1) / (x2 - x1) * len(mask))
    inside = (row >= 0) & (row < len(mask)) & (column >= 0) & (column < len(mask))
    object_ = (
        inside & mask[np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)]
    )
    in_box = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return (object_ & in_box).sum() / object_.sum()


def slow_target(truth, positives, logits, wanted, i):
    """That of sample ``i``, a pair of indices; ``wanted`` is the object inside of the box."""
    place = (i[0], positives.matched[i])
    share = slow_share(truth.mask_frames[place], truth.masks[place], positives.boxes[i])
    predicted = logits[i] >= 0
    common = (wanted[i] & predicted).sum()
    return common and common / (predicted.sum() + wanted[i].sum() / share - common)


def test_the_loss_is_half_the_squared_error_where_the_mask_meets_its_object():
    features, positives, truth = random_inputs(3)
    # A box beyond its object, which no mask can meet, and one that holds a part of it.
    whole = truth.boxes[1, positives.matched[1, 1]]
    boxes = positives.boxes.at[0, 0].set(jnp.asarray([0.0, 0, 1, 1]))
    boxes = boxes.at[1, 1].set(whole.at[2].set((whole[0] + whole[2]) / 2))
    positives = dataclasses.replace(positives, boxes=boxes)
    losses, _ = loss(features, positives, truth)
    exact, _, wanted = targets_of(truth, positives, losses.logits)
    arrays = jax.tree.map(np.asarray, (truth, positives, losses.logits, wanted))
    targets = np.zeros((2, 6))
    for i in zip(*np.nonzero(arrays[1].valid), strict=True):
        targets[i] = slow_target(*arrays, i)
    np.testing.assert_allclose(exact, targets, atol=0.01)
    counted = targets > 0
    assert not counted[0, 0]
    assert counted[1, 1]
    assert np.ptp(targets[counted]) > 0.1

    *_, pooled = predictions(features, detections_of(positives))
    masks = 1 / (1 + np.exp(-np.float64(losses.logits)))
    predicted = slow_predictions(pooled, positives.valid, masks, np.asarray(positives.labels))
    term = losses.terms["roi_mask_iou"]
    assert term.count == counted.sum()
    expected = 0.5 * ((predicted - np.asarray(exact)) ** 2)[counted].sum()
    np.testing.assert_allclose(term.sum, expected, rtol=1e-3)


def test_a_perfect_mask_of_half_an_object_has_half_an_iou():
    """The other half is outside of the box, where no mask can be."""
    _, positives, truth = random_inputs(4)
    truth = dataclasses.replace(truth, masks=jnp.ones_like(truth.masks))
    whole = jnp.stack([truth.boxes[i, positives.matched[i]] for i in range(2)])
    half = whole.at[..., 2].set((whole[..., 0] + whole[..., 2]) / 2)
    for boxes, share in ((whole, 1.0), (half, 0.5)):
        samples = dataclasses.replace(positives, boxes=boxes)
        targets, shares, _ = targets_of(truth, samples, jnp.full((2, 6, 8, 8), 3.0))
        expected = np.where(positives.valid, share, 0)
        np.testing.assert_allclose(shares, expected, rtol=1e-4)
        np.testing.assert_allclose(targets, expected, rtol=1e-4)


@pytest.mark.parametrize("size", [7, 20, 28])
def test_masks_of_any_side_are_pooled_to_the_features(size):
    masks = np.random.default_rng(size).random((3, size, size))
    found = jax.jit(largest_in_cells, static_argnums=1)(masks, 14)
    for row, column in np.ndindex(14, 14):
        y, x = (slice(i * size // 14, -(-(i + 1) * size // 14)) for i in (row, column))
        expected = masks[:, y, x].max((1, 2))
        np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-6)


# Gradients


def test_the_judge_teaches_the_features_and_the_masks_but_not_through_its_targets():
    _, (gradients, features) = loss(*random_inputs(5), name="roi_mask_iou")
    judge = gradients["params"].pop("iou")
    predictor = gradients["params"]["predictor"]
    assert all((x != 0).any() for x in jax.tree.leaves((judge, predictor)))
    assert any((x != 0).any() for x in jax.tree.leaves(features))


def test_steps_against_the_gradient_lower_the_loss():
    inputs, variables, log = random_inputs(5), random_variables(), []
    for _ in range(20):
        losses, (gradients, _) = loss(*inputs, name="roi_mask_iou", variables=variables)
        log.append(float(losses.terms["roi_mask_iou"].mean))
        variables = jax.tree.map(lambda x, g: x - 0.1 * g, variables, gradients)
    assert log[-1] < 0.5 * log[0]


def test_without_positives_there_is_no_loss_and_no_gradient():
    features, positives, truth = random_inputs(6)
    nothing = dataclasses.replace(positives, valid=jnp.zeros_like(positives.valid))
    losses, gradients = loss(features, nothing, truth)
    assert all((x == 0).all() for x in jax.tree.leaves((losses.terms, gradients)))


# What may not matter


def test_invalid_positives_may_hold_anything():
    features, positives, truth = random_inputs(7)
    valid = positives.valid
    spoilt = dataclasses.replace(
        positives,
        boxes=jnp.where(valid[..., None], positives.boxes, jnp.nan),
        labels=jnp.where(valid, positives.labels, -(2**30)),
        matched=jnp.where(valid, positives.matched, 4),
    )
    (clean, gradients), (dirty, others) = (
        loss(features, positives, truth),
        loss(features, spoilt, tiny.with_garbage(truth)),
    )
    jax.tree.map(np.testing.assert_array_equal, (clean.terms, gradients), (dirty.terms, others))
    detections = detections_of(positives)
    nonsense = dataclasses.replace(
        detections,
        boxes=spoilt.boxes,
        mask_frames=spoilt.boxes,
        labels=spoilt.labels,
        scores=jnp.where(valid, detections.scores, jnp.nan),
    )
    np.testing.assert_array_equal(
        predict(features, detections).mask_scores, predict(features, nonsense).mask_scores
    )


# In a cascade


def test_a_cascade_trains_a_judge_in_each_stage():
    roi: Any = tiny.as_cascade(tiny.tiny_config(), mmdetection).roi
    head = dataclasses.replace(roi, mask=CONFIG).build(K)
    features, positives, truth = random_inputs(8)
    proposals = Proposals(
        boxes=positives.boxes, scores=positives.labels * 1.0, valid=positives.valid
    )
    sizes = jnp.asarray([[64, 96]] * 2)
    init = partial(head.init_with_output, jax.random.key(0), features, proposals, sizes)
    losses, with_loss = jax.eval_shape(partial(init, method="loss"), truth, KEYS)
    found, with_predict = jax.eval_shape(partial(init, method="predict"))
    assert {f"roi_mask_iou_{stage}" for stage in range(3)} < set(losses)
    assert with_loss == with_predict
    assert "iou" in with_loss["params"]["mask_heads_2"]
    assert found.mask_scores.shape == found.scores.shape


def test_judgements_are_averaged_and_without_any_scores_stay_the_same_to_the_bit():
    _, positives, _ = random_inputs(9)
    scores = jnp.asarray(np.random.default_rng(9).uniform(size=positives.labels.shape), jnp.float32)
    found = dataclasses.replace(detections_of(positives), scores=scores, mask_scores=scores)
    np.testing.assert_array_equal(average_masks([found] * 3).mask_scores, scores)
    judged = [dataclasses.replace(found, mask_scores=share * scores) for share in (0.2, 0.4, 0.9)]
    np.testing.assert_allclose(average_masks(judged).mask_scores, 0.5 * scores, rtol=1e-6)
