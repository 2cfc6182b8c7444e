import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops import matching

NUM_TRUTHS, NUM_ANCHORS = 4, 9
OPTIONS = {"positive_from": 0.7, "negative_below": 0.3}

match = jax.jit(functools.partial(matching.match, **OPTIONS, keep_best=True))
match_without_keep_best = jax.jit(functools.partial(matching.match, **OPTIONS, keep_best=False))


def random_overlaps(seed):
    """Multiples of 0.1, so that ties and overlaps equal to a threshold are common."""
    rng = np.random.default_rng(seed)
    overlaps = (rng.integers(0, 11, (NUM_TRUTHS, NUM_ANCHORS)) / 10).astype(np.float32)
    return overlaps * (rng.random(overlaps.shape) < 0.6), rng.random(NUM_TRUTHS) < 0.7


def slow_match(overlaps, valid, *, keep_best):
    truths = [i for i in range(len(valid)) if valid[i]]
    index, positive, negative = [], [], []
    for anchor in overlaps.T:
        best = max(truths, key=lambda i: (anchor[i], -i), default=None)
        overlap = anchor[best] if best is not None else np.float32(-1)
        is_best_of_a_truth = any(anchor[i] == overlaps[i].max() > 0 for i in truths)
        index.append(best or 0)
        positive.append(overlap >= np.float32(0.7) or (keep_best and is_best_of_a_truth))
        negative.append(overlap < np.float32(0.3) and not positive[-1])
    return index, positive, negative


@given(st.integers(0, 100_000), st.booleans())
def test_matches_equal_the_slow_loop(seed, keep_best):
    overlaps, valid = random_overlaps(seed)
    matches = (match if keep_best else match_without_keep_best)(overlaps, valid)
    for ours, theirs in zip(matches, slow_match(overlaps, valid, keep_best=keep_best), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_thresholds_and_the_gap_between_them():
    overlaps = jnp.array([[0.69, 0.7, 0.3, 0.29, 0.0]])
    matches = match_without_keep_best(overlaps, jnp.ones(1, bool))
    np.testing.assert_array_equal(matches.positive, [False, True, False, False, False])
    np.testing.assert_array_equal(matches.negative, [False, False, False, True, True])


def test_the_best_anchor_of_a_truth_is_kept_but_for_its_own_best_truth():
    overlaps = jnp.array([[0.9, 0.4, 0.0], [0.0, 0.2, 0.1], [0.0, 0.0, 0.0]])
    matches = match(overlaps, jnp.ones(3, bool))
    np.testing.assert_array_equal(matches.positive, [True, True, False])  # 0.0 is nobody's best
    np.testing.assert_array_equal(matches.index[:2], [0, 0])


def test_without_valid_ground_truth_all_anchors_are_negative():
    matches = match(jnp.ones((NUM_TRUTHS, NUM_ANCHORS)), jnp.zeros(NUM_TRUTHS, bool))
    assert not matches.positive.any()
    assert matches.negative.all()


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1.0])
def test_garbage_in_invalid_entries_changes_nothing(garbage):
    overlaps, _ = random_overlaps(0)
    valid = np.array([True, False, True, False])
    clean = match(overlaps, valid)
    overlaps[~valid] = garbage
    for a, b in zip(clean, match(overlaps, valid), strict=True):
        np.testing.assert_array_equal(a, b)


def test_anchors_in_another_order_match_the_same():
    overlaps, valid = random_overlaps(1)
    order = np.random.default_rng(0).permutation(NUM_ANCHORS)
    for a, b in zip(match(overlaps, valid), match(overlaps[:, order], valid), strict=True):
        np.testing.assert_array_equal(a[order], b)


def test_vmap_equals_the_loop_and_jit_the_eager_call():
    images = [random_overlaps(seed) for seed in range(3)]
    together = jax.vmap(match)(*(jnp.stack(x) for x in zip(*images, strict=True)))
    eager = functools.partial(matching.match, **OPTIONS, keep_best=True)
    alone = [eager(jnp.asarray(overlaps), jnp.asarray(valid)) for overlaps, valid in images]
    for a, b in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(a, jnp.stack(b))
