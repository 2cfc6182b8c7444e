"""What is drawn for the recipes of training: jitter, crop, copy-paste, repeats."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.views import RandomCropConfig
from maskrcnn_jax.errors import InputError
from tests.data.plans import RECIPES, SEEDS, SIZES, batches_of_epoch, plan_of


@given(SIZES, SEEDS)
def test_with_jitter_every_batch_has_the_one_size_and_so_has_every_image(sizes, seed):
    for batch in batches_of_epoch(plan_of(sizes, seed=seed, **RECIPES["jitter"]), 0):
        assert batch.padded_size == (64, 96)
        assert {entry.view.canvas for entry in batch.entries} == {(64, 96)}


@given(SIZES, SEEDS)
def test_without_jitter_an_image_fills_its_canvas(sizes, seed):
    for recipe in ("short sides", "crop"):
        for batch in batches_of_epoch(plan_of(sizes, seed=seed, **RECIPES[recipe]), 0):
            assert all(entry.view.canvas == entry.view.size for entry in batch.entries)


@given(SIZES, SEEDS, st.sampled_from(["paste", "all"]), st.data())
def test_objects_come_from_images_that_have_some_and_onto_the_same_canvas(
    sizes, seed, recipe, data
):
    num_objects = [data.draw(st.integers(0, 1)) for _ in sizes]
    num_objects[0] = 1
    plan = plan_of(sizes, seed=seed, num_objects=num_objects, keep_empty=True, **RECIPES[recipe])
    for batch in batches_of_epoch(plan, 0):
        for entry in batch.entries:
            if entry.source is not None:
                assert num_objects[entry.source.index]
                assert entry.source.canvas == entry.view.canvas
                assert (np.array(entry.source.size) <= entry.source.canvas).all()


def test_sources_are_spread_evenly_and_independent_of_the_image():
    plan = plan_of([(30, 40)] * 300, batch_size=10, **RECIPES["paste"])
    pairs = [
        (entry.view.index, entry.source)
        for epoch in range(10)
        for batch in batches_of_epoch(plan, epoch)
        for entry in batch.entries
    ]
    assert np.mean([s is not None for _, s in pairs]) == pytest.approx(0.5, abs=0.03)
    sources = [(index, source.index) for index, source in pairs if source is not None]
    assert len({source for _, source in sources}) > 0.95 * 300
    assert abs(np.corrcoef(np.array(sources).T)[0, 1]) < 0.1
    flips = [source.flip for _, source in pairs if source is not None]
    assert np.mean(flips) == pytest.approx(0.5, abs=0.05)


def test_nothing_is_pasted_where_there_are_no_objects():
    plan = plan_of([(30, 40)] * 3, num_objects=[0] * 3, keep_empty=True, **RECIPES["paste"])
    assert not any(e.source for batch in batches_of_epoch(plan, 0) for e in batch.entries)


def test_every_example_has_a_seed_of_its_own():
    plan = plan_of([(30, 40)] * 64, short_sides=(32,))
    epochs = [batches_of_epoch(plan, epoch) for epoch in (0, 1)]
    seeds = {entry.seed for epoch in epochs for batch in epoch for entry in batch.entries}
    assert len(seeds) == 2 * 64


def test_images_with_rare_labels_are_shown_more_often():
    """One image in 40 has label 1: with a threshold of .9 its factor is 6, and 1.5 of the rest."""
    labels = ((0, 1),) + ((0,),) * 15 + ((),) * 24
    plan = plan_of(
        [(30, 40)] * 40, labels=labels, repeat_threshold=0.9, batch_size=1, short_sides=(32,)
    )
    shown = Counter(
        entry.view.index
        for epoch in range(20)
        for batch in batches_of_epoch(plan, epoch)
        for entry in batch.entries
    )
    assert shown[0] / 20 == pytest.approx(6, abs=0.3)
    assert np.mean([shown[i] for i in range(1, 16)]) / 20 == pytest.approx(1.5, abs=0.1)
    assert np.mean([shown[i] for i in range(16, 40)]) / 20 == pytest.approx(1, abs=0.1)


@given(SIZES, SEEDS, st.integers(1, 9), st.data())
def test_with_repeats_every_epoch_is_as_long_and_shows_every_image(sizes, seed, batch_size, data):
    labels = tuple(tuple(data.draw(st.sets(st.integers(0, 3)))) for _ in sizes)
    plan = plan_of(sizes, seed=seed, labels=labels, repeat_threshold=0.8, batch_size=batch_size)
    for epoch in range(2):
        batches = batches_of_epoch(plan, epoch)
        assert {e.view.index for batch in batches for e in batch.entries} == set(range(len(sizes)))
        assert all(len(batch.entries) == batch_size for batch in batches)
    other = plan_of(sizes, seed=seed, labels=labels, repeat_threshold=0.8, batch_size=batch_size)
    assert other.batch(plan.steps_per_epoch) == plan.batch(plan.steps_per_epoch)


def test_factors_are_of_the_images_in_use():
    """Not of those that are dropped for they have no objects: 1 of 2, not 1 of 4, has label 1."""
    plan = plan_of(
        [(30, 40)] * 4,
        num_objects=[1, 1, 0, 0],
        labels=((0, 1), (0,), (), ()),
        repeat_threshold=0.5,
        batch_size=1,
    )
    assert plan.steps_per_epoch == 2


@given(SEEDS)
def test_there_are_enough_batches_where_cuts_scatter_the_images(seed):
    """Uncut, all are of one padded size and fill one batch."""
    crop = RandomCropConfig(probability=0.5, min_share=0.3)
    plan = plan_of([(30, 40)] * 8, seed=seed, batch_size=8, short_sides=(32,), crop=crop)
    seen = {e.view.index for batch in batches_of_epoch(plan, 0) for e in batch.entries}
    assert seen == set(range(8))


def test_an_image_that_a_cut_can_make_too_large_is_an_error():
    """Of 30x40, a part of 12x40 becomes 20x67 where the whole becomes 20x27."""
    crop = RandomCropConfig(probability=0.01, min_share=0.4)
    changes = {"short_sides": (20,), "long_side": 128, "padded_sizes": ((32, 64), (64, 32))}
    plan_of([(30, 40)], **changes)
    with pytest.raises(InputError, match=r"^0\.jpg: .* 12x40 .*20x67"):
        plan_of([(30, 40)], **changes, crop=crop)
    with pytest.raises(InputError, match=r"^1\.jpg: .* 40x12 .*67x20"):
        plan_of([(30, 30), (40, 30)], **changes, crop=crop)
    plan_of([(30, 40)], **changes | {"long_side": 64}, crop=crop)


@given(SIZES, SEEDS, st.floats(0.05, 1))
def test_whatever_is_cut_fits_once_it_was_accepted(sizes, seed, min_share):
    crop = RandomCropConfig(probability=1.0, min_share=min_share)
    changes = {"long_side": 90, "padded_sizes": ((32, 96), (96, 32), (64, 64))}
    try:
        plan = plan_of(sizes, seed=seed, crop=crop, **changes)
    except InputError:
        return
    for batch in batches_of_epoch(plan, 0):
        for entry in batch.entries:
            assert (np.array(entry.view.size) <= batch.padded_size).all()


def test_repeats_need_labels():
    with pytest.raises(ValueError, match="sample: the labels"):
        plan_of([(30, 40)], repeat_threshold=0.1)
