"""Both flavours of the cascade. Few programs are compiled, and all tests share them."""

import dataclasses
import functools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.convert import detectron2, mmdetection
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.roi.box_head import BoxHead
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.detections import detect
from maskrcnn_jax.roi.pooling import pool
from tests import tiny
from tests.roi.slow_stages import (
    NUM_PROPOSALS,
    SIZES,
    K,
    nothing_of,
    only_valid,
    random_inputs,
    slow_box_stage,
    slow_refine,
    with_garbage,
)

PEERS = {"detectron2": detectron2, "mmdetection": mmdetection}


@functools.cache
def config_of(peer, *, masks=True) -> Any:
    """Without norms, so that an image does not depend on the other one."""
    roi: Any = tiny.as_cascade(tiny.tiny_config(samples_everything=True), PEERS[peer]).roi
    mask = dataclasses.replace(roi.mask, norm=None) if masks else None
    return dataclasses.replace(roi, mask=mask)


def outputs(config, *, verb):
    """Shapes of what a verb returns, and of the variables it creates."""
    features, proposals, truth = random_inputs(0)
    inputs = (SIZES, truth, tiny.image_keys(2)) if verb == "loss" else (SIZES,)
    init = partial(config.build(K).init_with_output, method=verb)
    return jax.eval_shape(init, jax.random.key(0), features, proposals, *inputs)


@functools.cache
def variables_of(peer) -> Any:
    """Deltas of all stages move boxes alike: they are divided by larger weights in later ones."""
    features, proposals, _ = random_inputs(0)
    init = partial(config_of(peer).build(K).init, method="predict")
    variables = tiny.variables_like(init, jax.random.key(0), features, proposals, SIZES)
    for stage, scale in enumerate((1.0, 2.0, 3.0)):
        variables["params"][f"box_heads_{stage}"]["deltas"]["kernel"] *= scale
    return variables


@functools.cache
def _loss_program(peer):
    head, keys = config_of(peer).build(K), tiny.image_keys(2)

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True, argnums=(0, 1))
    def losses(variables, features, proposals, truth, weights):
        terms: Any = head.apply(
            *(variables, features, proposals, SIZES, truth, keys), method="loss"
        )
        return sum(weights[name] * term.mean for name, term in terms.items()), terms

    return losses


def names_of(peer):
    parts = ("roi_class", "roi_box", *(["roi_mask"] if peer == "mmdetection" else []))
    names = {f"{part}_{stage}" for part in parts for stage in range(3)}
    return names | {"roi_mask_0"}


def losses(peer, features, proposals, truth, *, names=None, variables=None):
    """Terms, and the gradients of some or all losses with respect to variables and features."""
    weights = {name: float(names is None or name in names) for name in names_of(peer)}
    variables = variables_of(peer) if variables is None else variables
    (_, terms), gradients = _loss_program(peer)(variables, features, proposals, truth, weights)
    return terms, gradients


@functools.cache
def _predict_program(peer):
    head = config_of(peer).build(K)
    return jax.jit(lambda *inputs: head.apply(*inputs, SIZES, method="predict"))


def predict(peer, features, proposals) -> Any:
    return _predict_program(peer)(variables_of(peer), features, proposals)


# Both verbs


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("peer", PEERS)
def test_loss_and_predict_create_the_same_parameters(peer, masks):
    config = config_of(peer, masks=masks)
    losses, with_loss = outputs(config, verb="loss")
    found, with_predict = outputs(config, verb="predict")
    assert with_loss == with_predict
    heads = {f"box_heads_{stage}" for stage in range(3)}
    if masks:
        one = peer == "detectron2"
        heads |= {"mask_head"} if one else {f"mask_heads_{stage}" for stage in range(3)}
    assert set(with_loss["params"]) == heads
    assert set(losses) == {name for name in names_of(peer) if masks or "mask" not in name}
    assert found.masks.shape == ((2, 10, 28, 28) if masks else (2, 10, 0, 0))


def test_stages_are_those_of_the_papers_and_the_peers():
    stages = {peer: config_of(peer).stages for peer in PEERS}
    for peer in PEERS:
        assert [stage.number for stage in stages[peer]] == [0, 1, 2]
        assert [stage.sampling.positive_from for stage in stages[peer]] == [0.5, 0.6, 0.7]
        assert all(stage.box.class_agnostic for stage in stages[peer])
    assert [stage.loss_weight for stage in stages["detectron2"]] == [1, 1, 1]
    assert [stage.loss_weight for stage in stages["mmdetection"]] == [1, 0.5, 0.25]
    assert [stage.box.smooth_l1_beta for stage in stages["mmdetection"]] == [1, 1, 1]
    weights = {peer: [stage.box.box_weights for stage in stages[peer]] for peer in PEERS}
    assert weights["detectron2"] == [(10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15)]
    deviations = 1 / np.asarray(weights["mmdetection"])
    expected = [[0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]]
    np.testing.assert_allclose(deviations, expected, rtol=1e-12)


def test_boxes_for_each_class_are_refused():
    box = dataclasses.replace(config_of("detectron2").box, class_agnostic=False)
    with pytest.raises(InputError, match=r"roi\.box\.class_agnostic is False"):
        CascadeRoIHeadConfig(box=box)


# Against the slow loop


@jax.jit
def _box_head(params, features, boxes):
    image = {level: x[None] for level, x in features.items()}
    config = config_of("detectron2")
    valid = jnp.ones((1, len(boxes)), bool)
    pooled = pool(image, boxes[None], valid, config=config.pooling)[0]
    return BoxHead(config.box, K).apply({"params": params}, pooled)


def slow_box_head(peer, number, features, boxes):
    """Logits and deltas of up to 40 boxes of one image."""
    padded = np.zeros((40, 4), np.float32)
    padded[: len(boxes)] = boxes
    params = variables_of(peer)["params"][f"box_heads_{number}"]
    logits, deltas = _box_head(params, features, padded)
    return np.asarray(logits)[: len(boxes)], np.asarray(deltas)[: len(boxes)]


def slow_losses(peer, features, proposals, truth, image_size):
    """Sums of the class and the box losses and the number of boxes, stage by stage."""
    config = config_of(peer)
    boxes = [*proposals.boxes, *truth.boxes]
    for number, stage in enumerate(config.stages):
        outputs = slow_box_head(peer, number, features, boxes)
        *sums, refined = slow_box_stage(boxes, *outputs, truth, stage, image_size)
        yield *sums, len(boxes)
        if config.resample:
            boxes = [box for box, was_object in refined if not was_object] + [*truth.boxes]
        else:
            boxes = [box for box, _ in refined]


@pytest.mark.parametrize("peer", PEERS)
def test_the_losses_equal_the_slow_loop(peer):
    features, proposals, truth = random_inputs(0)
    terms, _ = losses(peer, features, proposals, truth)
    expected = np.zeros((3, 3))
    for i, size in enumerate(np.asarray(SIZES)):
        image, *others = jax.tree.map(lambda x, i=i: x[i], (features, proposals, truth))
        expected += list(slow_losses(peer, image, *map(only_valid, others), size))
    num_boxes = expected[:, 2]
    assert num_boxes[0] == 2 * (NUM_PROPOSALS - 5) + 5
    assert num_boxes[1] < num_boxes[0]
    for stage, (class_loss, box_loss, count) in enumerate(expected):
        classes, boxes = terms[f"roi_class_{stage}"], terms[f"roi_box_{stage}"]
        assert classes.count == boxes.count == count
        assert boxes.sum > 0
        np.testing.assert_allclose(classes.sum, class_loss, rtol=1e-4)
        np.testing.assert_allclose(boxes.sum, box_loss, rtol=1e-4)


@pytest.mark.parametrize("peer", PEERS)
def test_detections_equal_the_slow_loop(peer):
    config, (features, proposals, _) = config_of(peer), random_inputs(6)
    found = predict(peer, features, proposals)
    assert found.valid.any()
    for i, size in enumerate(np.asarray(SIZES)):
        image, boxes = (
            {level: x[i] for level, x in features.items()},
            np.asarray(proposals.boxes[i]),
        )
        outputs = []
        for number, stage in enumerate(config.stages):
            logits, deltas = slow_box_head(peer, number, image, boxes)
            outputs.append(logits if peer == "mmdetection" else jax.nn.softmax(logits))
            weights = stage.box.box_weights
            both = zip(boxes, deltas, strict=True)
            boxes = np.stack([slow_refine(box, delta, weights, size) for box, delta in both])
        average = sum(outputs) / 3
        probabilities = jax.nn.softmax(average) if peer == "mmdetection" else average
        expected = detect(
            jnp.asarray(probabilities),
            jnp.asarray(boxes[:, None]),
            proposals.valid[i],
            config=config.detections,
        )
        np.testing.assert_allclose(found.boxes[i], expected.boxes, atol=1e-2)
        np.testing.assert_allclose(found.scores[i], expected.scores, rtol=1e-4)
        np.testing.assert_array_equal(found.labels[i], expected.labels)


@pytest.mark.parametrize("peer", PEERS)
def test_masks_are_the_average_of_all_mask_heads(peer):
    config, (features, proposals, _) = config_of(peer), random_inputs(7)
    found = predict(peer, features, proposals)
    mask_head = jax.jit(partial(config.mask.build(K).apply, method="predict"))
    heads = [name for name in variables_of(peer)["params"] if name.startswith("mask_head")]
    masks = []
    for name in heads:
        variables = {"params": variables_of(peer)["params"][name]}
        masks.append(np.asarray(mask_head(variables, features, found).masks))
    assert len(masks) == (1 if peer == "detectron2" else 3)
    np.testing.assert_allclose(found.masks, np.mean(masks, axis=0), atol=1e-6)
    assert len(masks) == 1 or np.abs(masks[0] - masks[1]).max() > 0.01


# Gradients


@pytest.mark.parametrize("peer", PEERS)
def test_no_gradient_flows_through_boxes(peer):
    """The losses of later stages do not reach the box head whose boxes they start from."""
    later = [f"{name}_{stage}" for name in ("roi_class", "roi_box") for stage in (1, 2)]
    _, (gradients, _) = losses(peer, *random_inputs(2), names=later)
    heads = gradients["params"]
    assert all((x == 0).all() for x in jax.tree.leaves(heads["box_heads_0"]))
    for stage in (1, 2):
        assert all((x != 0).any() for x in jax.tree.leaves(heads[f"box_heads_{stage}"]))


@pytest.mark.parametrize("name", ["roi_class_0", "roi_mask_0"])
@pytest.mark.parametrize("peer", PEERS)
def test_only_the_gradient_of_pooled_box_features_is_scaled(peer, name):
    """Against differences of the loss, which know of no scaling."""
    features, proposals, truth = random_inputs(3)
    _, (_, gradient) = losses(peer, features, proposals, truth, names=[name])
    length = np.sqrt(sum((x**2).sum() for x in gradient.values()))

    def value(step):
        moved = {level: x + step / length * gradient[level] for level, x in features.items()}
        return losses(peer, moved, proposals, truth)[0][name].mean

    slope = (value(0.05) - value(-0.05)) / 0.1
    scale = 1 / 3 if peer == "detectron2" and name == "roi_class_0" else 1
    np.testing.assert_allclose(length, scale * slope, rtol=0.01)


@pytest.mark.parametrize("peer", PEERS)
def test_steps_against_the_gradient_lower_the_loss(peer):
    inputs, variables, log = random_inputs(4), variables_of(peer), []
    for _ in range(5):
        terms, (gradients, _) = losses(peer, *inputs, variables=variables)
        log.append(sum(term.mean for term in terms.values()))
        step = jax.tree.map(lambda x, g: x - 0.01 * g, variables["params"], gradients["params"])
        variables = {**variables, "params": step}
    assert log[1] < log[0]
    assert log[-1] < 0.95 * log[0]


# What may not matter


@pytest.mark.parametrize("peer", PEERS)
def test_what_is_not_valid_changes_no_loss_and_no_gradient(peer):
    features, proposals, truth = random_inputs(3)
    clean = losses(peer, features, proposals, truth)
    for garbage in (np.nan, np.inf, 1e30):
        dirty = with_garbage(proposals, garbage), tiny.with_garbage(truth)
        jax.tree.map(np.testing.assert_array_equal, clean, losses(peer, features, *dirty))


@pytest.mark.parametrize("peer", PEERS)
def test_invalid_proposals_do_not_change_the_detections(peer):
    features, proposals, _ = random_inputs(8)
    clean = predict(peer, features, proposals)
    for garbage in (np.nan, np.inf, 1e30):
        dirty = predict(peer, features, with_garbage(proposals, garbage))
        jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    nothing = predict(peer, features, nothing_of(proposals))
    assert not nothing.valid.any()
    assert np.isfinite(nothing.masks).all()


@pytest.mark.parametrize("peer", PEERS)
def test_without_objects_only_background_is_learnt(peer):
    features, proposals, truth = random_inputs(4)
    terms, gradients = losses(peer, features, proposals, nothing_of(truth))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((terms, gradients)))
    for name, term in terms.items():
        assert (term.sum > 0) == name.startswith("roi_class"), name
    terms, gradients = losses(peer, features, nothing_of(proposals), nothing_of(truth))
    assert all((x == 0).all() for x in jax.tree.leaves((terms, gradients)))


@pytest.mark.parametrize("peer", PEERS)
def test_the_losses_of_a_batch_are_the_sums_over_its_images(peer):
    features, proposals, truth = random_inputs(5)
    together, _ = losses(peer, features, proposals, truth)
    alone = [
        losses(peer, features, nothing_of(proposals, [other]), nothing_of(truth, [other]))[0]
        for other in (1, 0)
    ]
    for name, term in together.items():
        first, second = (terms[name] for terms in alone)
        np.testing.assert_allclose(term.sum, first.sum + second.sum, rtol=1e-5)
        assert term.count == first.count + second.count
