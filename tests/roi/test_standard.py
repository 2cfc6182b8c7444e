import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.structures import Proposals
from tests import tiny

K = tiny.NUM_CLASSES
WITH_MASKS = tiny.tiny_config().roi
BOX_ONLY = tiny.without_masks(tiny.tiny_config()).roi
AGNOSTIC = dataclasses.replace(
    WITH_MASKS,
    box=dataclasses.replace(WITH_MASKS.box, class_agnostic=True),
    mask=FCNMaskHeadConfig(class_agnostic=True),
)
SIZES = jnp.asarray([[64, 96], [50, 80]])


def random_inputs(seed, count=20):
    """Features, and proposals of which the last five are not valid."""
    rng = np.random.default_rng(seed)
    features = {
        level: jnp.asarray(rng.normal(size=(2, 64 >> level, 96 >> level, 16)), jnp.float32)
        for level in (2, 3, 4, 5, 6)
    }
    proposals = Proposals(
        boxes=jnp.asarray(tiny.random_boxes(rng, 2 * count, size=(50, 80)).reshape(2, count, 4)),
        scores=jnp.zeros((2, count)),
        valid=jnp.broadcast_to(jnp.arange(count) < count - 5, (2, count)),
    )
    return features, proposals


def outputs(config, *, verb):
    """Shapes of what a verb returns, and of the variables it creates."""
    head, (features, proposals) = config.build(K), random_inputs(0)
    truth, keys = tiny.random_batch(0).ground_truth, tiny.image_keys(2)
    inputs = (SIZES, truth, keys) if verb == "loss" else (SIZES,)
    init = partial(head.init_with_output, method=verb)
    return jax.eval_shape(init, keys[0], features, proposals, *inputs)


@pytest.mark.parametrize("config", [WITH_MASKS, BOX_ONLY, AGNOSTIC])
def test_loss_and_predict_create_the_same_parameters(config):
    assert outputs(config, verb="loss")[1] == outputs(config, verb="predict")[1]


def test_without_a_mask_branch_there_is_neither_its_loss_nor_a_mask():
    losses, variables = outputs(BOX_ONLY, verb="loss")
    assert set(losses) == {"roi_class", "roi_box"}
    assert set(variables["params"]) == {"box_head"}
    assert outputs(BOX_ONLY, verb="predict")[0].masks.shape == (2, 10, 0, 0)


def test_with_it_there_are_both():
    assert set(outputs(WITH_MASKS, verb="loss")[0]) == {"roi_class", "roi_box", "roi_mask"}
    assert outputs(WITH_MASKS, verb="predict")[0].masks.shape == (2, 10, 28, 28)


def test_class_agnostic_heads_have_one_box_and_one_mask():
    params = outputs(AGNOSTIC, verb="loss")[1]["params"]
    assert params["box_head"]["deltas"]["bias"].shape == (4,)
    assert params["mask_head"]["predictor"]["bias"].shape == (1,)
    assert outputs(AGNOSTIC, verb="predict")[0].masks.shape == (2, 10, 28, 28)


@pytest.fixture(scope="module")
def variables():
    features, proposals = random_inputs(0)
    init = partial(WITH_MASKS.build(K).init, method="predict")
    return tiny.variables_like(init, jax.random.key(0), features, proposals, SIZES)


def with_garbage(proposals, garbage):
    return dataclasses.replace(
        proposals,
        boxes=jnp.where(proposals.valid[..., None], proposals.boxes, garbage),
        scores=jnp.where(proposals.valid, proposals.scores, garbage),
    )


def test_invalid_proposals_do_not_change_the_losses(variables):
    (features, proposals), truth = random_inputs(1), tiny.random_batch(1).ground_truth

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def total(variables, proposals, truth):
        losses: Any = WITH_MASKS.build(K).apply(
            variables, features, proposals, SIZES, truth, tiny.image_keys(2), method="loss"
        )
        return sum(term.mean for term in losses.values()), losses

    clean = total(variables, proposals, truth)
    for garbage in (np.nan, np.inf, 1e30):
        dirty = total(variables, with_garbage(proposals, garbage), tiny.with_garbage(truth))
        jax.tree.map(np.testing.assert_array_equal, clean, dirty)


def test_invalid_proposals_do_not_change_the_detections(variables):
    features, proposals = random_inputs(2)
    predict = jax.jit(
        lambda p: WITH_MASKS.build(K).apply(variables, features, p, SIZES, method="predict")
    )
    clean = predict(proposals)
    assert clean.valid.any()
    for garbage in (np.nan, np.inf, 1e30):
        dirty = predict(with_garbage(proposals, garbage))
        jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    nothing = predict(dataclasses.replace(proposals, valid=jnp.zeros_like(proposals.valid)))
    assert not nothing.valid.any()
    assert np.isfinite(nothing.masks).all()


def test_the_mask_head_may_be_trained_on_what_the_box_head_makes_of_boxes(variables):
    """Which changes nothing while that is nothing, and never the box head's own gradient."""
    features, proposals = random_inputs(3)
    truth, keys = tiny.random_batch(3).ground_truth, tiny.image_keys(2)

    def mask_loss(variables, *, refined):
        config = dataclasses.replace(WITH_MASKS, masks_on_refined_boxes=refined)
        losses: Any = config.build(K).apply(
            variables, features, proposals, SIZES, truth, keys, method="loss"
        )
        return losses["roi_mask"].mean

    plain = jax.jit(partial(mask_loss, refined=False))
    refined = jax.jit(jax.value_and_grad(partial(mask_loss, refined=True)))
    loss, gradient = refined(variables)
    assert abs(loss - plain(variables)) > 1e-4
    assert not any(np.any(x) for x in jax.tree.leaves(gradient["params"]["box_head"]))

    still = jax.tree.map(jnp.zeros_like, variables["params"]["box_head"]["deltas"])
    box_head = {**variables["params"]["box_head"], "deltas": still}
    without = {**variables, "params": {**variables["params"], "box_head": box_head}}
    np.testing.assert_allclose(refined(without)[0], plain(without), rtol=1e-4)
