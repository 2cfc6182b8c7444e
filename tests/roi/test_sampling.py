import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.sampling import (
    RoISamplingConfig,
    only_positives,
    refined_proposals,
    rematch,
    sample_rois,
)
from maskrcnn_jax.structures import Proposals, Samples
from tests import tiny

EVERYTHING = RoISamplingConfig(num_samples=1000, positive_fraction=1.0)
FEW = RoISamplingConfig(num_samples=8, positive_fraction=0.25)
NUM_PROPOSALS = 30

jit_sample = jax.jit(sample_rois, static_argnames=("num_classes", "config"))


def sample(proposals, truth, *, config=EVERYTHING, seed=0):
    key = jax.random.key(seed)
    samples = jit_sample(proposals, truth, key, num_classes=tiny.NUM_CLASSES, config=config)
    return jax.tree.map(np.asarray, samples)


def random_scene(seed, num_objects=4):
    """Objects, and proposals of which half are displaced objects; the last three are not valid."""
    rng = np.random.default_rng(seed)
    truth = tiny.random_truth(rng, num_objects)
    boxes = tiny.random_boxes(rng, NUM_PROPOSALS)
    if num_objects:
        near = rng.integers(0, num_objects, NUM_PROPOSALS // 2)
        boxes[: len(near)] = truth.boxes[near] + rng.uniform(-5, 5, (len(near), 4))
    proposals = Proposals(
        boxes=jnp.asarray(boxes, jnp.float32),
        scores=jnp.zeros(NUM_PROPOSALS),
        valid=jnp.arange(NUM_PROPOSALS) < NUM_PROPOSALS - 3,
    )
    return proposals, truth


def slow_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - width * height)


def slow_samples(proposals, truth):
    """(box, label, matched object or -1), sorted, of everything that can be sampled."""
    proposals, truth = jax.tree.map(np.asarray, (proposals, truth))
    objects = np.flatnonzero(truth.valid)
    rois = [*proposals.boxes[proposals.valid], *truth.boxes[truth.valid]]
    found = []
    for box in rois:
        overlaps = [slow_iou(box, truth.boxes[i]) for i in objects]
        best = objects[np.argmax(overlaps)] if len(objects) else 0
        positive = len(objects) > 0 and max(overlaps) >= 0.5
        label = truth.labels[best] if positive else tiny.NUM_CLASSES
        found.append((*box.tolist(), int(label), int(best) if positive else -1))
    return sorted(found)


def as_tuples(samples):
    positive = samples.labels < tiny.NUM_CLASSES
    return sorted(
        (*samples.boxes[i].tolist(), int(samples.labels[i]),
         int(samples.matched[i]) if positive[i] else -1)
        for i in np.flatnonzero(samples.valid)
    )  # fmt: skip


@pytest.mark.parametrize("num_objects", [0, 1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_all_samples_equal_the_slow_loop(seed, num_objects):
    proposals, truth = random_scene(seed, num_objects)
    expected = slow_samples(proposals, truth)
    assert len(expected) == NUM_PROPOSALS - 3 + num_objects
    assert as_tuples(sample(proposals, truth)) == expected


def test_objects_are_samples_too():
    """With proposals that hit nothing, the positive samples are the objects themselves."""
    proposals, truth = random_scene(0)
    proposals = dataclasses.replace(proposals, boxes=jnp.tile(jnp.asarray([0.0, 0, 1, 1]), (30, 1)))
    samples = sample(proposals, truth)
    positive = samples.valid & (samples.labels < tiny.NUM_CLASSES)
    assert positive.sum() == 4
    np.testing.assert_array_equal(samples.boxes[positive], truth.boxes[samples.matched[positive]])
    assert set(samples.matched[positive]) == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(5))
def test_a_quarter_at_most_is_positive_and_comes_first(seed):
    proposals, truth = random_scene(seed)
    samples = sample(proposals, truth, config=FEW, seed=seed)
    positive = samples.labels < tiny.NUM_CLASSES
    assert samples.valid.all()
    np.testing.assert_array_equal(positive, np.arange(8) < FEW.max_positives)
    assert set(as_tuples(samples)) <= set(slow_samples(proposals, truth))
    assert len(set(as_tuples(samples))) == 8


def test_another_key_draws_other_samples():
    scene = random_scene(0)
    draws = [as_tuples(sample(*scene, config=FEW, seed=s)) for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("config", [EVERYTHING, FEW])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_what_is_not_valid_may_be_anything(config, garbage):
    proposals, truth = random_scene(1, num_objects=3)
    clean = sample(proposals, truth, config=config)
    proposals = dataclasses.replace(
        proposals,
        boxes=jnp.where(proposals.valid[:, None], proposals.boxes, garbage),
        scores=jnp.where(proposals.valid, proposals.scores, garbage),
    )
    dirty = sample(proposals, tiny.with_garbage(truth), config=config)
    np.testing.assert_array_equal(clean.valid, dirty.valid)
    for name in ("boxes", "labels", "matched"):
        valid = clean.valid
        np.testing.assert_array_equal(getattr(clean, name)[valid], getattr(dirty, name)[valid])


@pytest.mark.parametrize("config", [EVERYTHING, FEW])
def test_more_slots_change_nothing(config):
    proposals, truth = random_scene(3)
    more = jax.tree.map(lambda x: jnp.concatenate([x, jnp.zeros_like(x[:3])]), truth)
    few, many = (sample(proposals, t, config=config) for t in (truth, more))
    count = few.valid.sum()
    assert count == many.valid.sum()
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:count], b[:count]), few, many)


def test_the_order_of_the_objects_changes_only_their_numbers():
    proposals, truth = random_scene(2)
    order = np.array([3, 4, 1, 0, 2])  # slot 4 is empty
    moved = jax.tree.map(lambda x: x[order], truth)
    renumbered = [(*t[:5], -1 if t[5] < 0 else int(order[t[5]])) for t in
                  as_tuples(sample(proposals, moved))]  # fmt: skip
    assert sorted(renumbered) == as_tuples(sample(proposals, truth))


def test_only_positives_are_left_for_the_masks():
    config = RoISamplingConfig(num_samples=8, positive_fraction=0.5)
    samples = Samples(
        boxes=jnp.zeros((1, 8, 4)),
        labels=jnp.asarray([[2, 0, 3, 1, 1, 3, 3, 3]]),
        matched=jnp.zeros((1, 8), jnp.int32),
        valid=jnp.asarray([[True, False, True, True, True, True, False, False]]),
    )
    positives = only_positives(samples, num_classes=3, config=config)
    assert positives.boxes.shape == (1, 4, 4)
    np.testing.assert_array_equal(positives.valid, [[True, False, False, True]])


jit_rematch = jax.jit(rematch, static_argnames=("num_classes", "positive_from"))
jit_refined_proposals = jax.jit(refined_proposals)


def match_again(samples, refined, truth, *, positive_from=0.6):
    again = jit_rematch(
        samples, refined, truth, num_classes=tiny.NUM_CLASSES, positive_from=positive_from
    )
    return jax.tree.map(np.asarray, again)


def to_draw_from(samples, refined, truth):
    return jax.tree.map(np.asarray, jit_refined_proposals(samples, refined, truth))


def refined_scene(seed, num_objects=4):
    """Samples, of which the last are not valid, and boxes beside them, of which some are empty."""
    rng = np.random.default_rng(seed)
    proposals, truth = random_scene(seed, num_objects)
    samples = sample(proposals, truth)
    refined = samples.boxes + rng.uniform(-4, 4, samples.boxes.shape).astype(np.float32)
    refined[::7, 2] = refined[::7, 0]
    refined[3::7, 1] = refined[3::7, 3] + 1
    return samples, refined, truth


def slow_labels(refined, truth, positive_from):
    """(label, matched object or -1) of each box."""
    objects = np.flatnonzero(truth.valid)
    for box in refined:
        overlaps = [slow_iou(box, np.asarray(truth.boxes)[i]) for i in objects]
        if len(objects) and max(overlaps) >= positive_from:
            best = objects[np.argmax(overlaps)]
            yield int(truth.labels[best]), int(best)
        else:
            yield tiny.NUM_CLASSES, -1


@pytest.mark.parametrize("num_objects", [0, 1, 4])
@pytest.mark.parametrize("positive_from", [0.5, 0.7])
def test_rematching_equals_the_slow_loop(num_objects, positive_from):
    samples, refined, truth = refined_scene(0, num_objects)
    again = match_again(samples, refined, truth, positive_from=positive_from)
    has_area = (refined[:, 2:] > refined[:, :2]).all(-1)
    assert not has_area[samples.valid].all()
    np.testing.assert_array_equal(again.boxes, refined)
    np.testing.assert_array_equal(again.valid, samples.valid & has_area)
    labels = list(slow_labels(refined, truth, positive_from))
    for i in np.flatnonzero(again.valid):
        label = int(again.labels[i])
        assert (label, int(again.matched[i]) if label < tiny.NUM_CLASSES else -1) == labels[i]


def test_a_stricter_overlap_leaves_fewer_positives():
    samples, _, truth = refined_scene(1)
    number = []
    for positive_from in (0.5, 0.7, 1.0):
        again = match_again(samples, samples.boxes, truth, positive_from=positive_from)
        number.append((again.valid & (again.labels < tiny.NUM_CLASSES)).sum())
    assert number[0] > number[1] > number[2] == truth.valid.sum()


def test_refined_proposals_are_not_the_objects_themselves():
    samples, refined, truth = refined_scene(2)
    proposals = to_draw_from(samples, refined, truth)
    objects = {tuple(box) for box in np.asarray(truth.boxes)[np.asarray(truth.valid)].tolist()}
    was_object = np.array([tuple(box) in objects for box in samples.boxes.tolist()])
    assert was_object[samples.valid].sum() == 4
    has_area = (refined[:, 2:] > refined[:, :2]).all(-1)
    np.testing.assert_array_equal(proposals.valid, samples.valid & has_area & ~was_object)
    np.testing.assert_array_equal(proposals.boxes, refined)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_refined_boxes_that_are_not_valid_may_be_anything(garbage):
    samples, refined, truth = refined_scene(3, num_objects=3)
    samples = dataclasses.replace(samples, valid=np.arange(len(refined)) % 5 > 0)
    dirty = np.where(samples.valid[:, None], refined, garbage).astype(np.float32)
    for again in (match_again, to_draw_from):
        clean = again(samples, refined, truth)
        spoilt = again(samples, dirty, tiny.with_garbage(truth))
        np.testing.assert_array_equal(clean.valid, spoilt.valid)
        for name in vars(clean):
            a, b = getattr(clean, name)[clean.valid], getattr(spoilt, name)[clean.valid]
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_an_empty_slot_like_a_sample_is_no_object():
    samples, refined, truth = refined_scene(4, num_objects=1)
    box = samples.boxes[-1]
    like_a_sample = dataclasses.replace(truth, boxes=truth.boxes.at[1].set(box))
    matched = np.full_like(samples.matched, 1)
    samples = dataclasses.replace(samples, matched=matched)
    expected = to_draw_from(samples, refined, truth)
    found = to_draw_from(samples, refined, like_a_sample)
    np.testing.assert_array_equal(found.valid, expected.valid)
