import dataclasses
import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.plan import plan_evaluation
from maskrcnn_jax.data.sizes import resized_sizes
from maskrcnn_jax.errors import InputError
from tests.data.plans import CONFIG, RECIPES, SEEDS, SIZES, batches_of_epoch, plan_of
from tests.data.samples import index_only


@given(SIZES, SEEDS, st.integers(1, 9), st.integers(0, 3), st.sampled_from(sorted(RECIPES)))
def test_every_epoch_shows_every_image_in_full_batches(sizes, seed, batch_size, epoch, recipe):
    plan = plan_of(sizes, seed=seed, batch_size=batch_size, **RECIPES[recipe])
    batches = batches_of_epoch(plan, epoch)
    assert {e.view.index for batch in batches for e in batch.entries} == set(range(len(sizes)))
    assert all(len(batch.entries) == batch_size for batch in batches)
    assert all(entry.valid for batch in batches for entry in batch.entries)


@given(SIZES, SEEDS, st.integers(1, 9), st.sampled_from(sorted(RECIPES)))
def test_few_batches_are_added_to_fill_up(sizes, seed, batch_size, recipe):
    plan = plan_of(sizes, seed=seed, batch_size=batch_size, **RECIPES[recipe])
    least = -(-len(sizes) // batch_size)
    assert least <= plan.steps_per_epoch <= least + len(CONFIG.padded_sizes) - 1


@given(SIZES, SEEDS)
def test_one_padded_size_has_no_batch_too_many(sizes, seed):
    plan = plan_of(sizes, seed=seed, padded_sizes=((64, 64),))
    assert plan.steps_per_epoch == -(-len(sizes) // CONFIG.batch_size)
    seen = Counter(e.view.index for batch in batches_of_epoch(plan, 0) for e in batch.entries)
    if len(sizes) >= CONFIG.batch_size:
        assert max(seen.values()) <= 2


@given(SIZES, SEEDS, st.sampled_from(["short sides", "crop", "paste"]))
def test_a_batch_has_the_smallest_padded_size_that_holds_its_images(sizes, seed, recipe):
    for batch in batches_of_epoch(plan_of(sizes, seed=seed, **RECIPES[recipe]), 1):
        for entry in batch.entries:
            fitting = [p for p in CONFIG.padded_sizes if (np.array(entry.view.size) <= p).all()]
            assert batch.padded_size == min(fitting, key=np.prod)


@given(SIZES, SEEDS)
def test_sizes_come_from_the_short_sides(sizes, seed):
    for batch in batches_of_epoch(plan_of(sizes, seed=seed), 0):
        for entry in batch.entries:
            possible = [
                tuple(resized_sizes(np.array(sizes[entry.view.index]), short_side=s, long_side=64))
                for s in CONFIG.short_sides
            ]
            assert entry.view.size in possible


@given(
    SIZES,
    SEEDS,
    st.lists(st.integers(0, 200), min_size=1, max_size=5),
    st.sampled_from(sorted(RECIPES)),
)
def test_a_batch_depends_on_seed_and_number_alone(sizes, seed, numbers, recipe):
    """In whatever order it is asked for, and by whichever process."""
    plan = plan_of(sizes, seed=seed, **RECIPES[recipe])
    for number in numbers:
        other = plan_of(sizes, seed=seed, **RECIPES[recipe])
        assert plan.batch(number) == other.batch(number)


def test_batches_are_those_of_the_first_version():
    """So that runs that were begun then go on as they were; recipes left off change nothing."""
    sizes = [(30, 40), (40, 30), (30, 30), (20, 90)] * 5
    entries = [
        (batch.padded_size, entry.view.index, entry.view.size, entry.view.flip)
        for epoch in range(2)
        for batch in batches_of_epoch(plan_of(sizes, seed=3), epoch)
        for entry in batch.entries
    ]
    digest = hashlib.sha256(repr(entries).encode()).hexdigest()
    assert digest == "55650403360c534e04c0152d62c9651e53c1a5d3b6a6fb335865078d78141aeb"


def test_epochs_and_seeds_differ_in_draws_and_in_company():
    sizes = [(30, 40)] * 64
    plan, other = (plan_of(sizes, seed=seed, short_sides=(32,)) for seed in (0, 1))
    epochs = [batches_of_epoch(plan, 0), batches_of_epoch(plan, 1), batches_of_epoch(other, 0)]
    draws = [
        {e.view.index: (e.view.size, e.view.flip) for b in epoch for e in b.entries}
        for epoch in epochs
    ]
    company = [{frozenset(e.view.index for e in b.entries) for b in epoch} for epoch in epochs]
    for a, b in itertools.combinations(range(3), 2):
        assert draws[a] != draws[b]
        assert len(company[a] & company[b]) < 4


def test_draws_are_spread_evenly():
    plan = plan_of([(30, 40)] * 3000, batch_size=10, flip_probability=0.25)
    entries = [entry for batch in batches_of_epoch(plan, 0) for entry in batch.entries]
    assert np.mean([entry.view.flip for entry in entries]) == pytest.approx(0.25, abs=0.03)
    shares = np.array(list(Counter(entry.view.size for entry in entries).values())) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)


def test_padded_sizes_are_mixed_over_an_epoch():
    plan = plan_of([(30, 40)] * 100 + [(40, 30)] * 100, short_sides=(32,))
    sizes = [batch.padded_size for batch in batches_of_epoch(plan, 0)]
    assert 10 < sum(a != b for a, b in itertools.pairwise(sizes)) < 40


def test_images_without_objects_are_dropped_and_counted_unless_kept():
    sizes, num_objects = [(30, 40)] * 6, [0, 3, 0, 1, 0, 1]

    def seen(plan):
        return {e.view.index for batch in batches_of_epoch(plan, 0) for e in batch.entries}

    plan = plan_of(sizes, num_objects=num_objects)
    assert plan.num_dropped == 3
    assert seen(plan) == {1, 3, 5}
    plan = plan_of(sizes, num_objects=num_objects, keep_empty=True)
    assert plan.num_dropped == 0
    assert seen(plan) == set(range(6))


@given(SIZES, st.integers(1, 9))
def test_evaluation_shows_every_image_once_and_in_order(sizes, batch_size):
    config = dataclasses.replace(CONFIG, eval_batch_size=batch_size)
    plan = plan_evaluation(index_only(sizes, [0] * len(sizes)), config)
    batches = [plan.batch(number) for number in range(len(plan))]
    entries = [entry for batch in batches for entry in batch.entries if entry.valid]
    assert sorted(entry.view.index for entry in entries) == list(range(len(sizes)))
    assert not any(entry.view.flip for entry in entries)
    for padded_size in CONFIG.padded_sizes:
        group = [batch for batch in batches if batch.padded_size == padded_size]
        valid = [entry.valid for batch in group for entry in batch.entries]
        indices = [e.view.index for batch in group for e in batch.entries if e.valid]
        assert indices == sorted(indices)
        assert valid == sorted(valid, reverse=True)
        assert valid.count(False) < batch_size
    for entry in entries:
        expected = resized_sizes(np.array(sizes[entry.view.index]), short_side=32, long_side=64)
        assert entry.view.size == tuple(expected)


@pytest.mark.parametrize(("sizes", "num_objects"), [([], []), ([(30, 40)] * 3, [0, 0, 0])])
def test_nothing_to_train_on_is_an_error(sizes, num_objects):
    with pytest.raises(InputError, match=f"sample/train: none of its {len(sizes)} images"):
        plan_of(sizes, num_objects=num_objects)


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(InputError, match=r"sample/train.*no images"):
        plan_evaluation(index_only([], []), CONFIG)


def test_an_image_that_fits_no_padded_size_is_an_error():
    with pytest.raises(InputError, match=r"^2\.jpg: .* 40x30 .*64x48.*Add 64x64"):
        plan_of([(20, 90), (20, 90), (40, 30)], padded_sizes=((64, 32), (96, 32), (32, 64)))


def test_a_negative_seed_is_an_error():
    with pytest.raises(InputError, match=r"seed.* -1"):
        plan_of([(30, 40)], seed=-1)
