"""The boundary-preserving head: two programs are compiled, and all tests share them."""

import dataclasses
import functools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.convert import detectron2, mmdetection
from maskrcnn_jax.norms import BatchNormConfig, GroupNormConfig
from maskrcnn_jax.roi.mask.boundary import BoundaryMaskHeadConfig, boundary_loss
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.pooling import RoIAlignConfig, pool
from maskrcnn_jax.structures import Proposals
from tests import tiny
from tests.roi.mask.inputs import detections_of, random_inputs, with_garbage

K = tiny.NUM_CLASSES
FCN = FCNMaskHeadConfig(
    pooling=RoIAlignConfig(output_size=4, samples_per_cell=1), num_convs=1, channels=8
)
# Boxes as small as these are otherwise pooled from level 2.
CONFIG = BoundaryMaskHeadConfig(fcn=FCN, boundary_levels=(3,), num_boundary_convs=1)
HEAD = CONFIG.build(K)
KEYS = tiny.image_keys(2)


def config_with(**options):
    return dataclasses.replace(CONFIG, fcn=dataclasses.replace(FCN, **options))


def outputs(config, verb):
    """Shapes of what a verb returns, and of the variables it creates."""
    features, positives, truth = random_inputs(0)
    given = (positives, truth, KEYS) if verb == "loss" else (detections_of(positives),)
    init = partial(config.build(K).init_with_output, method=verb)
    return jax.eval_shape(init, jax.random.key(0), features, *given)


@functools.cache
def variables_of() -> Any:
    features, positives, _ = random_inputs(0)
    init = partial(HEAD.init, method="predict")
    return tiny.variables_like(init, jax.random.key(0), features, detections_of(positives))


@functools.cache
def _loss_program():
    @jax.jit
    @partial(jax.value_and_grad, has_aux=True, argnums=(0, 1))
    def loss(variables, features, positives, truth, weights):
        losses: Any = HEAD.apply(variables, features, positives, truth, KEYS, method="loss")
        return sum(weights[name] * term.mean for name, term in losses.terms.items()), losses

    return loss


def losses(features, positives, truth, *, names=("roi_mask", "roi_boundary"), variables=None):
    """What the head gives, and the gradients of some or all losses."""
    weights = {name: float(name in names) for name in ("roi_mask", "roi_boundary")}
    variables = variables_of() if variables is None else variables
    (_, found), gradients = _loss_program()(variables, features, positives, truth, weights)
    return found, gradients


_predict = jax.jit(partial(HEAD.apply, method="predict"))


@pytest.mark.parametrize("norm", [None, GroupNormConfig(groups=4), BatchNormConfig(axis_name=None)])
@pytest.mark.parametrize("num_upsamples", [0, 2])
def test_loss_and_predict_create_the_same_variables(norm, num_upsamples):
    config = config_with(norm=norm, num_upsamples=num_upsamples)
    losses, with_loss = outputs(config, "loss")
    found, with_predict = outputs(config, "predict")
    assert with_loss == with_predict
    side = 4 * 2**num_upsamples
    assert config.side == side
    assert found.masks.shape == losses.logits.shape == (2, 6, side, side)
    assert set(losses.terms) == {"roi_mask", "roi_boundary"}


def test_the_mask_branch_has_the_variables_of_the_fcn_head():
    """So that weights of a Mask R-CNN are a beginning."""
    features, positives, _ = random_inputs(0)
    init = partial(FCN.build(K).init, method="predict")
    alone = jax.eval_shape(init, jax.random.key(0), features, detections_of(positives))["params"]
    _, both = outputs(CONFIG, "predict")
    assert {name: both["params"][name] for name in alone} == dict(alone)


@pytest.mark.parametrize("peer", [detectron2, mmdetection])
def test_both_cascades_take_it(peer):
    config = tiny.tiny_config()
    config = dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=CONFIG))
    features, positives, truth = random_inputs(0)
    scores = jnp.zeros(positives.valid.shape)
    proposals = Proposals(boxes=positives.boxes, scores=scores, valid=positives.valid)
    inputs = (features, proposals, jnp.asarray([[64, 96], [64, 96]]))
    head = tiny.as_cascade(config, peer).roi.build(K)
    init = partial(head.init_with_output, jax.random.key(0))
    losses, with_loss = jax.eval_shape(partial(init, method="loss"), *inputs, truth, KEYS)
    found, with_predict = jax.eval_shape(partial(init, method="predict"), *inputs)
    assert with_loss == with_predict
    stages = 1 if peer is detectron2 else 3
    names = {f"roi_{part}_{stage}" for part in ("mask", "boundary") for stage in range(stages)}
    assert names == {name for name in losses if "mask" in name or "boundary" in name}
    assert found.masks.shape == (2, 10, 8, 8)


def convolved(x, layer, *, stride=1):
    """Tap by tap in float64, with as many zeros around as keep the size."""
    kernel, bias = (np.asarray(layer["conv"][name], np.float64) for name in ("kernel", "bias"))
    pad = len(kernel) // 2
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    side = x.shape[1] - 2 * pad
    taps = [
        x[:, i : i + side : stride, j : j + side : stride] @ kernel[i, j]
        for i, j in np.ndindex(kernel.shape[:2])
    ]
    return np.maximum(sum(taps) + bias, 0)


def test_logits_follow_the_figure():
    """Mask logits of the true classes, from the pooled features on, written out in numpy."""
    features, positives, truth = random_inputs(1)
    found, _ = losses(features, positives, truth)
    pools = (FCN.pooling, RoIAlignConfig(output_size=8, samples_per_cell=1, levels=(3,)))
    coarse, fine = (
        np.asarray(
            jax.jit(partial(pool, config=config))(features, positives.boxes, positives.valid)
        )
        for config in pools
    )
    coarse, fine = (x.reshape(-1, *x.shape[2:]).astype(np.float64) for x in (coarse, fine))
    params = variables_of()["params"]
    masks = convolved(coarse, {"conv": params["conv1"]})
    boundaries = convolved(fine, params["downsample"], stride=2)
    boundaries = boundaries + convolved(masks, params["mask_to_boundary"])
    boundaries = convolved(boundaries, params["boundary_convs_0"])
    masks = convolved(masks + convolved(boundaries, params["boundary_to_mask"]), params["fusion"])
    up, last = params["upsample"], params["predictor"]
    patches = np.einsum("nhwc,ijcd->nhiwjd", masks, np.asarray(up["kernel"], np.float64))
    masks = np.maximum(patches.reshape(-1, 8, 8, 8) + up["bias"], 0)
    logits = masks @ np.asarray(last["kernel"], np.float64) + last["bias"]
    labels = np.where(positives.valid, positives.labels, 0).reshape(-1)
    expected = np.stack([logits[i, ..., label] for i, label in enumerate(labels)])
    valid = np.asarray(positives.valid)
    assert np.abs(expected[valid.reshape(-1)]).max() > 0.3
    np.testing.assert_allclose(
        found.logits[valid], expected.reshape(found.logits.shape)[valid], rtol=1e-3, atol=1e-4
    )


def test_each_loss_trains_its_outputs_and_both_branches():
    inputs = random_inputs(2)
    own = {"roi_mask": {"upsample", "predictor", "fusion", "boundary_to_mask"}}
    own["roi_boundary"] = {"boundary_outputs"}
    for name, other in (("roi_mask", "roi_boundary"), ("roi_boundary", "roi_mask")):
        _, (variables, features) = losses(*inputs, names=(name,))
        trained = {
            layer
            for layer, x in variables["params"].items()
            if any(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(x))
        }
        assert trained == set(variables_of()["params"]) - own[other]
        assert features[2].any()
        assert features[3].any()


def test_the_prediction_is_the_sigmoid_of_the_logits_that_are_trained():
    features, positives, truth = random_inputs(3)
    found, _ = losses(features, positives, truth)
    masks = _predict(variables_of(), features, detections_of(positives)).masks
    valid = positives.valid
    np.testing.assert_allclose(masks[valid], jax.nn.sigmoid(found.logits[valid]), atol=1e-5)


def test_positives_and_objects_that_are_not_valid_may_hold_anything():
    features, positives, truth = random_inputs(4)
    clean = losses(features, positives, truth)
    dirty = losses(features, with_garbage(positives), tiny.with_garbage(truth))
    valid = positives.valid
    jax.tree.map(np.testing.assert_array_equal, clean[1], dirty[1])
    jax.tree.map(np.testing.assert_array_equal, clean[0].terms, dirty[0].terms)
    np.testing.assert_array_equal(clean[0].logits[valid], dirty[0].logits[valid])
    assert clean[0].terms["roi_mask"].count == valid.sum() * 64
    assert clean[0].terms["roi_boundary"].count == valid.sum()


def test_without_positives_losses_and_gradients_are_zero():
    features, positives, truth = random_inputs(5)
    nothing = dataclasses.replace(positives, valid=jnp.zeros_like(positives.valid))
    found, gradients = losses(features, nothing, truth)
    assert all(term == (0, 0) for term in found.terms.values())
    assert not any(np.any(np.asarray(x)) for x in jax.tree.leaves(gradients))


def test_in_bfloat16_masks_are_close():
    features, positives, _ = random_inputs(6)
    detections = detections_of(positives)
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), features)
    exact, found = (_predict(variables_of(), x, detections).masks for x in (features, low))
    assert found.dtype == jnp.float32
    assert 0 < np.abs(found - exact).max() < 0.05


@pytest.mark.usefixtures("x64")
def test_the_boundary_loss_equals_the_slow_loop():
    """Mean of the pixels' cross entropy and 1 - Dice, against pixels that touch the outside."""
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(3, 6, 6))
    targets = (rng.random((3, 6, 6)) < 0.9).astype(np.float64)
    valid = np.array([True, False, True])
    expected = 0.0
    for i in np.flatnonzero(valid):
        around = np.pad(targets[i], 1)
        outline = targets[i] > 0
        for y, x in np.argwhere(outline):
            outline[y, x] = not around[y : y + 3, x : x + 3].all()
        p = 1 / (1 + np.exp(-logits[i]))
        expected -= np.where(outline, np.log(p), np.log(1 - p)).mean()
        expected += 1 - (2 * p[outline].sum() + 1) / (p.sum() + outline.sum() + 1)
    loss = jax.jit(boundary_loss)(logits, targets, valid)
    np.testing.assert_allclose(loss, (expected, 2), rtol=1e-12)
