"""Hybrid Task Cascade, in two stages. Few programs are compiled, and all tests share them."""

import dataclasses
import functools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.roi.detections import detect
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask.targets import mask_targets
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.structures import Samples
from tests import tiny
from tests.roi import slow_htc
from tests.roi.slow_stages import (
    NUM_PROPOSALS,
    SIZES,
    K,
    nothing_of,
    only_valid,
    random_inputs,
    slow_box_stage,
    slow_match,
    slow_refine,
    with_garbage,
)

pytestmark = pytest.mark.usefixtures("small_portions")

NAMES = {f"roi_{part}_{stage}" for part in ("class", "box", "mask") for stage in range(2)}


@functools.cache
def config_of(*, semantic=True) -> Any:
    """Without norms, so that an image does not depend on the other one."""
    roi: Any = tiny.as_htc(tiny.tiny_config(samples_everything=True)).roi
    return dataclasses.replace(
        roi,
        mask=dataclasses.replace(roi.mask, norm=None),
        semantic=roi.semantic if semantic else None,
        refinements=roi.refinements[:1],
    )


def outputs(config, *, verb):
    """Shapes of what a verb returns, and of the variables it creates."""
    features, proposals, truth = random_inputs(0)
    inputs = (SIZES, truth, tiny.image_keys(2)) if verb == "loss" else (SIZES,)
    init = partial(config.build(K).init_with_output, method=verb)
    return jax.eval_shape(init, jax.random.key(0), features, proposals, *inputs)


@functools.cache
def variables() -> Any:
    """Deltas of both stages move boxes alike: they are divided by larger weights in the second."""
    features, proposals, _ = random_inputs(0)
    init = partial(config_of().build(K).init, method="predict")
    variables = tiny.variables_like(init, jax.random.key(0), features, proposals, SIZES)
    variables["params"]["box_heads_1"]["deltas"]["kernel"] *= 2
    return variables


@jax.jit
@partial(jax.value_and_grad, has_aux=True)
def _losses(variables, features, proposals, truth, weights):
    head, keys = config_of().build(K), tiny.image_keys(2)
    terms: Any = head.apply(*(variables, features, proposals, SIZES, truth, keys), method="loss")
    return sum(weights[name] * term.mean for name, term in terms.items()), terms


def losses(features, proposals, truth, *, names=None, params=None):
    """Terms, and the gradients of some or all losses."""
    everything = {*NAMES, "roi_semantic"}
    weights = {name: float(names is None or name in names) for name in everything}
    given = variables() if params is None else {"params": params}
    (_, terms), gradients = _losses(given, features, proposals, truth, weights)
    return terms, gradients["params"]


@jax.jit
def predict(features, proposals) -> Any:
    return config_of().build(K).apply(variables(), features, proposals, SIZES, method="predict")


# Both verbs


@pytest.mark.parametrize("semantic", [True, False])
def test_loss_and_predict_create_the_same_parameters(semantic):
    config = config_of(semantic=semantic)
    losses, with_loss = outputs(config, verb="loss")
    found, with_predict = outputs(config, verb="predict")
    assert with_loss == with_predict
    heads = {f"{kind}_heads_{stage}" for kind in ("box", "mask") for stage in range(2)}
    assert set(with_loss["params"]) == heads | ({"semantic_head"} if semantic else set())
    assert set(losses) == NAMES | ({"roi_semantic"} if semantic else set())
    assert ["flow" in with_loss["params"][f"mask_heads_{stage}"] for stage in range(2)] == [
        False,
        True,
    ]
    assert found.masks.shape == (2, 10, 28, 28)


def test_stages_are_those_of_the_paper_and_mmdetection():
    for config in (HTCRoIHeadConfig(), mmdetection.htc_model().roi):
        assert [stage.sampling.positive_from for stage in config.stages] == [0.5, 0.6, 0.7]
        assert [stage.loss_weight for stage in config.stages] == [1, 0.5, 0.25]
        assert config.stages == mmdetection.cascade_model().roi.stages
        assert config.detections.score_threshold == 0.001
        assert config.semantic.loss_weight == 0.2
        assert config.semantic.num_convs == 4


def test_configs_that_do_not_fit_are_refused():
    box = dataclasses.replace(config_of().box, class_agnostic=False)
    with pytest.raises(InputError, match=r"roi\.box\.class_agnostic is False"):
        HTCRoIHeadConfig(box=box)
    semantic = SemanticHeadConfig(pooling=RoIAlignConfig(output_size=7, levels=(3,)))
    with pytest.raises(InputError, match=r"is 7, .* multiple of roi\.mask\.pooling.* 14: cells"):
        HTCRoIHeadConfig(semantic=semantic)


# Against the slow loop


def slow_image(i, features):
    """What RoIs of an image are pooled from."""
    maps, _ = slow_htc.slow_semantic(variables()["params"]["semantic_head"], features)
    return {level: x[i] for level, x in features.items()}, maps[i]


def slow_boxes(number, image, boxes):
    config = config_of()
    pooled = slow_htc.with_semantic(*image, boxes, config.pooling, config.semantic.pooling)
    return slow_htc.slow_box_head(variables()["params"][f"box_heads_{number}"], pooled)


def slow_masks(image, boxes, *, num_stages):
    config, params = config_of(), variables()["params"]
    pooled = slow_htc.with_semantic(*image, boxes, config.mask.pooling, config.semantic.pooling)
    heads = [params[f"mask_heads_{stage}"] for stage in range(num_stages)]
    return slow_htc.slow_mask_logits(heads, pooled)


def slow_mask_loss(image, boxes, truth, stage):
    """Sum over all pixels of the positive boxes' masks, and how many pixels these have."""
    matches = [slow_match(box, list(truth.boxes), stage) for box in boxes]
    boxes, matched = zip(
        *((box, best) for box, (best, positive) in zip(boxes, matches, strict=True) if positive),
        strict=True,
    )
    logits = slow_masks(image, boxes, num_stages=stage.number + 1)[-1]
    samples = Samples(
        boxes=jnp.stack(boxes),
        labels=jnp.asarray(truth.labels)[jnp.asarray(matched)],
        matched=jnp.asarray(matched),
        valid=jnp.ones(len(boxes), bool),
    )
    objects = jax.tree.map(jnp.asarray, truth)
    targets = mask_targets(objects, samples, side=28, config=config_of().mask.targets)
    total = 0.0
    for logit, target, label in zip(logits, np.asarray(targets), samples.labels, strict=True):
        p = 1 / (1 + np.exp(-logit[:, :, int(label)]))
        total -= np.where(target > 0, np.log(p), np.log(1 - p)).sum()
    return stage.loss_weight * total, targets.size


def slow_losses(image, proposals, truth, image_size):
    """Sums and counts of the class, the box and the mask losses, stage by stage."""
    proposals = list(proposals.boxes)
    for number, stage in enumerate(config_of().stages):
        boxes = [*proposals, *truth.boxes]
        outputs = slow_boxes(number, image, boxes)
        class_loss, box_loss, refined = slow_box_stage(boxes, *outputs, truth, stage, image_size)
        proposals = [box for box, was_object in refined if not was_object]
        mask_loss = slow_mask_loss(image, [*proposals, *truth.boxes], truth, stage)
        yield [class_loss, len(boxes)], [box_loss, len(boxes)], mask_loss


def test_the_losses_equal_the_slow_loop():
    features, proposals, truth = random_inputs(0)
    terms, _ = losses(features, proposals, truth)
    expected = np.zeros((2, 3, 2))
    for i, size in enumerate(np.asarray(SIZES)):
        one = [only_valid(jax.tree.map(lambda x, i=i: x[i], x)) for x in (proposals, truth)]
        expected += list(slow_losses(slow_image(i, features), *one, size))
    assert expected[1, 0, 1] < expected[0, 0, 1] == 2 * (NUM_PROPOSALS - 5) + 5
    for stage in range(2):
        for part, (total, count) in zip(("class", "box", "mask"), expected[stage], strict=True):
            term = terms[f"roi_{part}_{stage}"]
            assert term.count == count
            assert term.sum > 0
            np.testing.assert_allclose(term.sum, total, rtol=1e-4)


def test_the_semantic_loss_equals_the_slow_loop():
    """In every cell of the real image: the smallest object that covers its first pixel."""
    features, proposals, truth = random_inputs(0)
    term = losses(features, proposals, truth)[0]["roi_semantic"]
    _, logits = slow_htc.slow_semantic(variables()["params"]["semantic_head"], features)
    total, count = 0.0, 0
    for i, y, x in np.ndindex(*logits.shape[:3]):
        if 8 * y >= SIZES[i, 0] or 8 * x >= SIZES[i, 1]:
            continue
        label, smallest = K, np.inf
        for box, mask, of_object in zip(
            *(np.asarray(v[i][truth.valid[i]]) for v in (truth.boxes, truth.masks, truth.labels)),
            strict=True,
        ):
            along, down = (np.array([8 * x, 8 * y]) + 0.5 - box[:2]) / (box[2:] - box[:2])
            if not (0 <= along < 1 and 0 <= down < 1):
                continue
            area = np.prod(box[2:] - box[:2])
            if mask[int(down * len(mask)), int(along * len(mask))] and area < smallest:
                label, smallest = of_object, area
        total += np.log(np.exp(logits[i, y, x]).sum()) - logits[i, y, x, label]
        count += 1
    assert term.count == count == 8 * 12 + 7 * 10
    np.testing.assert_allclose(term.sum, 0.2 * total, rtol=1e-4)


@functools.cache
def found_and_features(seed):
    features, proposals, _ = random_inputs(seed)
    variables()  # not while ``predict`` is traced
    return predict(features, proposals), features, proposals


def test_detections_equal_the_slow_loop():
    config = config_of()
    found, features, proposals = found_and_features(6)
    assert found.valid.any()
    for i, size in enumerate(np.asarray(SIZES)):
        image, boxes, outputs = slow_image(i, features), np.asarray(proposals.boxes[i]), []
        for number, stage in enumerate(config.stages):
            logits, deltas = slow_boxes(number, image, boxes)
            outputs.append(logits)
            both = zip(boxes, deltas, strict=True)
            boxes = np.stack([slow_refine(*pair, stage.box.box_weights, size) for pair in both])
        expected = detect(
            jax.nn.softmax(jnp.asarray(sum(outputs) / 2, jnp.float32)),
            jnp.asarray(boxes[:, None]),
            proposals.valid[i],
            config=config.detections,
        )
        np.testing.assert_allclose(found.boxes[i], expected.boxes, atol=1e-2)
        np.testing.assert_allclose(found.scores[i], expected.scores, rtol=1e-4)
        np.testing.assert_array_equal(found.labels[i], expected.labels)


def slow_probabilities(found, features, i):
    """Of both stages, for the classes of the detections in image i."""
    logits = slow_masks(slow_image(i, features), np.asarray(found.boxes[i]), num_stages=2)
    labels = np.asarray(found.labels[i])[:, None, None, None]
    return [np.take_along_axis(1 / (1 + np.exp(-x)), labels, -1)[..., 0] for x in logits]


def test_masks_equal_the_slow_loop():
    """Of the final boxes: the average of all stages, each of which sees the one before."""
    found, features, _ = found_and_features(7)
    for i in range(2):
        first, second = slow_probabilities(found, features, i)
        valid = np.asarray(found.valid[i])
        assert valid.any()
        np.testing.assert_allclose(found.masks[i][valid], ((first + second) / 2)[valid], atol=1e-5)
        assert np.abs(first - second).max() > 0.01


def test_masks_of_the_last_stage_need_no_outputs_of_others():
    _, features, proposals = found_and_features(7)
    given = jax.tree.map(lambda x: x, variables())
    del given["params"]["mask_heads_0"]["upsample"], given["params"]["mask_heads_0"]["predictor"]
    head: Any = dataclasses.replace(config_of(), mask_stages="last").build(K)
    found = head.apply(given, features, proposals, SIZES, method="predict")
    for i in range(2):
        _, expected = slow_probabilities(found, features, i)
        valid = np.asarray(found.valid[i])
        np.testing.assert_allclose(found.masks[i][valid], expected[valid], atol=1e-5)


# Gradients


def test_no_gradient_flows_through_boxes():
    """Into an earlier box head: neither from its own masks nor from the next stage."""
    later = ["roi_mask_0", "roi_class_1", "roi_box_1", "roi_mask_1"]
    _, gradients = losses(*random_inputs(2), names=later)
    assert all((x == 0).all() for x in jax.tree.leaves(gradients["box_heads_0"]))
    assert all((x != 0).any() for x in jax.tree.leaves(gradients["box_heads_1"]))


def test_a_mask_reaches_the_heads_before_and_the_semantic_branch():
    _, gradients = losses(*random_inputs(2), names=["roi_mask_1"])
    reached = {path for path, x in _flat(gradients) if (x != 0).any()}
    convs, outputs = {"conv1"}, {"upsample", "predictor"}
    assert {part for head, part in reached if head == "mask_heads_0"} == convs
    assert {part for head, part in reached if head == "mask_heads_1"} == convs | outputs | {"flow"}
    semantic = {part for head, part in reached if head == "semantic_head"}
    assert semantic == {*(f"lateral{level}" for level in range(2, 6)), "conv1", "embedding"}


def test_steps_against_the_gradient_lower_the_loss():
    inputs, params, log = random_inputs(4), variables()["params"], []
    for _ in range(5):
        terms, gradients = losses(*inputs, params=params)
        log.append(sum(term.mean for term in terms.values()))
        params = jax.tree.map(lambda x, g: x - 0.01 * g, params, gradients)
    assert log[1] < log[0]
    assert log[-1] < 0.95 * log[0]


def _flat(gradients):
    return [
        ((head, part), x)
        for head, parts in gradients.items()
        for part, arrays in parts.items()
        for x in arrays.values()
    ]


# What may not matter


def test_what_is_not_valid_changes_no_loss_and_no_gradient():
    features, proposals, truth = random_inputs(3)
    clean = losses(features, proposals, truth)
    for garbage in (np.nan, np.inf, 1e30):
        dirty = with_garbage(proposals, garbage), tiny.with_garbage(truth)
        jax.tree.map(np.testing.assert_array_equal, clean, losses(features, *dirty))


def test_invalid_proposals_do_not_change_the_detections():
    clean, features, proposals = found_and_features(7)
    for garbage in (np.nan, np.inf, 1e30):
        dirty = predict(features, with_garbage(proposals, garbage))
        jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    nothing = predict(features, nothing_of(proposals))
    assert not nothing.valid.any()
    assert np.isfinite(nothing.masks).all()


def test_without_objects_only_background_is_learnt():
    features, proposals, truth = random_inputs(4)
    terms, gradients = losses(features, proposals, nothing_of(truth))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((terms, gradients)))
    for name, term in terms.items():
        assert (term.sum > 0) == name.startswith(("roi_class", "roi_semantic")), name


def test_the_losses_of_a_batch_are_the_sums_over_its_images():
    """But for the semantic one, which counts every image."""
    features, proposals, truth = random_inputs(5)
    together, _ = losses(features, proposals, truth)
    alone = [
        losses(features, nothing_of(proposals, [other]), nothing_of(truth, [other]))[0]
        for other in (1, 0)
    ]
    for name in NAMES:
        first, second = (terms[name] for terms in alone)
        np.testing.assert_allclose(together[name].sum, first.sum + second.sum, rtol=1e-5)
        assert together[name].count == first.count + second.count
