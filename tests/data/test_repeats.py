import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.repeats import draw_repeats, most_repeats, repeat_factors

LABELS = st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=30)
FACTORS = st.lists(st.just(1.0) | st.floats(1, 12), min_size=1, max_size=30).map(np.array)


@given(LABELS, st.floats(0, 1))
def test_factors_equal_the_definition(labels, threshold):
    """LVIS, appendix B.2, in the order of its three steps."""
    frequency = {c: sum(c in found for found in labels) / len(labels) for c in range(6)}
    of_category = {c: max(1, math.sqrt(threshold / frequency[c])) for c in range(6) if frequency[c]}
    expected = [max([of_category[c] for c in found], default=1) for found in labels]
    np.testing.assert_allclose(repeat_factors(labels, threshold=threshold), expected)


def test_a_threshold_of_0_repeats_nothing():
    np.testing.assert_array_equal(repeat_factors([{0}, {1, 2}, {0}, ()], threshold=0), 1)


@given(FACTORS, st.integers(0, 2**32))
def test_every_image_is_shown_its_factor_rounded_up_or_down(factors, seed):
    counts = draw_repeats(factors, np.random.default_rng(seed))
    most, total = most_repeats(factors)
    assert (counts >= np.floor(factors)).all()
    assert (counts <= most).all()
    assert math.floor(factors.sum() - 1e-9) <= counts.sum() <= total
    assert total <= math.ceil(factors.sum() + 1e-9)


def test_on_average_an_image_is_shown_as_often_as_its_factor_says():
    factors = np.array([1, 1, 1.1, 1.25, 1.5, 1.9, 2, 3.3, 7.75])
    rng = np.random.default_rng(0)
    draws = np.array([draw_repeats(factors, rng) for _ in range(10_000)])
    np.testing.assert_allclose(draws.mean(0), factors, atol=0.02)
    assert set(draws.sum(1)) == {20, 21}
    together = np.corrcoef(draws[:, 2:6].T)  # which are rounded up is mixed
    assert np.abs(together - np.eye(4)).max() < 0.5


def test_counts_follow_the_generator():
    factors = np.full(50, 1.5)
    a, b, c = (draw_repeats(factors, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert a.sum() == c.sum() == pytest.approx(75)
