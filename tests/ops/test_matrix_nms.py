import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops.matrix_nms import matrix_nms

SIGMA = 2.0
run = jax.jit(functools.partial(matrix_nms, sigma=SIGMA))


def random_masks(seed, *, count=12, size=(10, 14)):
    """Rectangles that overlap, of two labels, with equal scores among them."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 6, (count, 2))
    high = low + rng.integers(1, 9, (count, 2))
    y, x = np.mgrid[: size[0], : size[1]]
    masks = [
        (y >= a) & (x >= b) & (y < c) & (x < d) for (a, b), (c, d) in zip(low, high, strict=True)
    ]
    return {
        "masks": np.array(masks),
        "scores": rng.choice(np.linspace(0.2, 0.9, 6), count).astype(np.float32),
        "labels": rng.integers(0, 2, count),
        "valid": rng.random(count) < 0.8,
    }


def slow(masks, scores, labels, valid):
    """One pair after the other, in float64."""
    lowered = scores.astype(np.float64)

    def better(j):
        ranks = [(-scores[i], i) for i in range(len(scores))]
        return [
            i
            for i in range(len(scores))
            if valid[i] and valid[j] and labels[i] == labels[j] and ranks[i] < ranks[j]
        ]

    def iou(i, j):
        union = (masks[i] | masks[j]).sum()
        return (masks[i] & masks[j]).sum() / union if union else 0.0

    for j in range(len(scores)):
        factors = [1.0]
        for i in better(j):
            compensation = max((iou(k, i) for k in better(i)), default=0.0)
            factors.append(np.exp(-SIGMA * iou(i, j) ** 2) / np.exp(-SIGMA * compensation**2))
        lowered[j] *= min(factors)
    return lowered


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_the_slow_loop(seed):
    given = random_masks(seed)
    expected = slow(**given)
    assert (expected < given["scores"] - 0.01).any()
    np.testing.assert_allclose(run(**given), expected, rtol=1e-5)


def test_what_is_not_valid_changes_nothing():
    given = random_masks(3)
    valid = given["valid"]
    rng = np.random.default_rng(0)
    spoilt = dict(given)
    spoilt["masks"] = np.where(valid[:, None, None], given["masks"], rng.random((10, 14)) < 0.5)
    spoilt["scores"] = np.where(valid, given["scores"], np.float32(np.nan))
    spoilt["labels"] = np.where(valid, given["labels"], -7)
    assert not valid.all()
    np.testing.assert_array_equal(run(**spoilt)[valid], run(**given)[valid])


def test_the_best_mask_keeps_its_score_and_its_copy_loses_most():
    masks = jnp.ones((2, 4, 4), bool)
    scores, labels, valid = jnp.array([0.5, 0.9]), jnp.zeros(2, int), jnp.ones(2, bool)
    lowered = matrix_nms(masks, scores, labels, valid, sigma=SIGMA)
    np.testing.assert_allclose(lowered, [0.5 * np.exp(-SIGMA), 0.9], rtol=1e-6)
