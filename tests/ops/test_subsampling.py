import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.ops import subsampling

NUM = 12


@functools.partial(jax.jit, static_argnames=("num_samples", "max_positives"))
def subsample(positive, negative, key, *, num_samples=8, max_positives=3):
    return subsampling.subsample(
        positive, negative, key, num_samples=num_samples, max_positives=max_positives
    )


def split(kinds):
    """0 ignored, 1 positive, 2 negative."""
    return np.asarray(kinds) == 1, np.asarray(kinds) == 2


@given(
    st.lists(st.integers(0, 2), min_size=NUM, max_size=NUM),
    st.integers(0, 100),
    st.sampled_from([(8, 3), (NUM, 12), (5, 0), (100, 50)]),
)
def test_a_sample_is_as_large_and_as_positive_as_it_can_be(kinds, seed, limits):
    num_samples, max_positives = limits
    positive, negative = split(kinds)
    chosen = subsample(
        positive,
        negative,
        jax.random.key(seed),
        num_samples=num_samples,
        max_positives=max_positives,
    )
    size = min(num_samples, NUM)
    num_positives = min(positive.sum(), max_positives)
    num_valid = num_positives + min(negative.sum(), size - num_positives)
    slot = np.arange(size)
    np.testing.assert_array_equal(chosen.positive, slot < num_positives)
    np.testing.assert_array_equal(chosen.valid, slot < num_valid)
    indices = np.asarray(chosen.indices)
    assert ((indices >= 0) & (indices < NUM)).all()  # also where invalid
    assert positive[indices[:num_positives]].all()
    assert negative[indices[num_positives:num_valid]].all()
    assert len(set(indices[:num_valid])) == num_valid


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_every_pair_of_candidates_is_equally_likely(kind):
    """3 of 6 candidates: each is drawn with probability 1/2, each pair with 3/6 * 2/5 = 1/5."""
    positive, negative = split([1, 2] * 6)
    keys = jax.random.split(jax.random.key(0), 4000)
    draw = functools.partial(subsample, positive, negative, num_samples=6)
    chosen = jax.vmap(draw)(keys)
    wanted = np.asarray(chosen.positive) == (kind == "positive")
    drawn = np.zeros((len(keys), NUM))
    np.put_along_axis(drawn, np.asarray(chosen.indices), wanted, axis=1)
    drawn = drawn[:, positive if kind == "positive" else negative]
    together = drawn.T @ drawn / len(keys)
    np.testing.assert_allclose(together, np.full((6, 6), 0.2) + 0.3 * np.eye(6), atol=0.03)


def test_the_key_decides():
    positive, negative = split([2] * NUM)
    first, again, other = (subsample(positive, negative, jax.random.key(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.indices, again.indices)
    assert (first.indices != other.indices).any()


def test_vmap_equals_the_loop_and_jit_the_eager_call():
    positive = np.random.default_rng(0).random((3, NUM)) < 0.4
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.vmap(subsample)(positive, ~positive, keys)
    for i in range(3):
        masks = jnp.asarray(positive[i]), jnp.asarray(~positive[i])
        alone = subsampling.subsample(*masks, keys[i], num_samples=8, max_positives=3)
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[i], b)
