from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.ops import soft_nms as soft_nms_module
from maskrcnn_jax.ops.nms import nms
from maskrcnn_jax.ops.soft_nms import gaussian_decay, linear_decay

NUM, LEAST = 24, 0.05
DECAYS = {
    "linear": partial(linear_decay, iou_threshold=0.3),
    "gaussian": partial(gaussian_decay, sigma=0.5),
}


@partial(jax.jit, static_argnames=("decay", "num_outputs"))
def soft_nms(boxes, scores, valid, labels=None, *, decay="gaussian", num_outputs=NUM):
    return soft_nms_module.soft_nms(
        boxes,
        scores,
        valid,
        decay=DECAYS[decay],
        min_score=LEAST,
        num_outputs=num_outputs,
        labels=labels,
    )


def random_candidates(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 12, (NUM, 2))
    return {
        "boxes": np.concatenate([corner, corner + rng.uniform(1, 10, (NUM, 2))], 1).astype("f4"),
        "scores": rng.uniform(0.02, 1, NUM).astype("f4"),
        "valid": rng.random(NUM) < 0.9,
        "labels": rng.integers(0, 3, NUM).astype("i4"),
    }


def sequential(boxes, scores, valid, labels, *, decay):
    """The definition, in float64: indices and scores in the order in which they are taken."""
    scores, left, taken = np.float64(scores), list(np.flatnonzero(valid)), []
    while left and scores[left].max() >= LEAST:
        best = left.pop(int(np.argmax(scores[left])))
        taken.append((best, scores[best]))
        for i in left:
            low, high = np.maximum(boxes[i], boxes[best]), np.minimum(boxes[i], boxes[best])
            common = np.maximum(high[2:] - low[:2], 0).prod(dtype=np.float64)
            areas = [np.prod(box[2:] - box[:2], dtype=np.float64) for box in boxes[[i, best]]]
            overlap = common / (sum(areas) - common)
            if labels[i] != labels[best]:
                continue
            if decay == "gaussian":
                scores[i] *= np.exp(-(overlap**2) / 0.5)
            elif overlap > 0.3:
                scores[i] *= 1 - overlap
    return taken


@settings(max_examples=30)
@given(st.integers(0, 100_000), st.sampled_from(sorted(DECAYS)))
def test_output_is_the_sequential_definition(seed, decay):
    candidates = random_candidates(seed)
    kept = soft_nms(**candidates, decay=decay)
    expected = sequential(**candidates, decay=decay)
    np.testing.assert_array_equal(kept.valid, np.arange(NUM) < len(expected))
    np.testing.assert_array_equal(kept.indices[kept.valid], [i for i, _ in expected])
    np.testing.assert_allclose(kept.scores[kept.valid], [s for _, s in expected], rtol=1e-5)
    assert not kept.indices[~kept.valid].any()
    assert not kept.scores[~kept.valid].any()


def test_fewer_outputs_are_the_best():
    candidates = random_candidates(3)
    few, all_of_them = soft_nms(**candidates, num_outputs=4), soft_nms(**candidates)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:4]), few, all_of_them)


@pytest.mark.parametrize("decay", DECAYS)
def test_a_score_that_is_nan_is_that_of_no_box(decay):
    candidates = random_candidates(5)
    is_nan = np.arange(NUM) % 3 == 0
    without = candidates | {"valid": candidates["valid"] & ~is_nan}
    with_nan = candidates | {"scores": np.where(is_nan, np.nan, candidates["scores"])}
    found, expected = (soft_nms(**x, decay=decay) for x in (with_nan, without))
    assert expected.valid.any()
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_boxes_that_do_not_overlap_keep_their_scores():
    corners = 20.0 * np.arange(NUM, dtype=np.float32)[:, None]
    boxes = np.tile(corners, (1, 4)) + np.float32([0, 0, 9, 9])
    candidates = random_candidates(4) | {"boxes": boxes}
    del candidates["labels"]
    soft = soft_nms(**candidates)
    hard = nms(**jax.tree.map(jnp.asarray, candidates), iou_threshold=0.5, num_outputs=NUM)
    above = np.asarray(hard.scores) >= LEAST
    for a, b in zip(soft, hard, strict=True):
        np.testing.assert_array_equal(np.asarray(a)[above], np.asarray(b)[above])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30])
def test_invalid_boxes_may_hold_anything(garbage):
    candidates = random_candidates(5)
    clean = soft_nms(**candidates)
    invalid = ~candidates["valid"]
    candidates["boxes"][invalid] = candidates["scores"][invalid] = garbage
    jax.tree.map(np.testing.assert_array_equal, clean, soft_nms(**candidates))


def test_scores_of_zero_are_kept_where_nothing_is_too_low():
    """A score that is gone is not multiplied: minus infinity times 0."""
    boxes = jnp.asarray([[0, 0, 9, 9]] * 3 + [[50, 50, 59, 59]], jnp.float32)
    scores, options = jnp.asarray([0.9, 0.8, 0.7, 0]), {"min_score": 0.0, "num_outputs": 4}
    found = soft_nms_module.soft_nms(
        boxes, scores, jnp.ones(4, bool), decay=DECAYS["linear"], **options
    )
    assert found.valid.all()
    assert sorted(found.indices.tolist()) == [0, 1, 2, 3]


def test_there_may_be_nothing():
    candidates = random_candidates(6) | {"valid": np.zeros(NUM, bool)}
    assert not soft_nms(**candidates).valid.any()
    nothing = soft_nms(np.zeros((0, 4), "f4"), np.zeros(0, "f4"), np.zeros(0, bool))
    assert nothing.valid.shape == (0,)
