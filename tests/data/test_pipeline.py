import dataclasses
import itertools
from collections import Counter

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.colours import ColourJitterConfig
from maskrcnn_jax.data.copy_paste import CopyPasteConfig
from maskrcnn_jax.data.image_views import AugmentationConfig
from maskrcnn_jax.data.pipeline import count_object_slots, eval_batches, train_batches
from maskrcnn_jax.data.plan import TrainPlan, plan_evaluation
from maskrcnn_jax.data.views import LargeScaleJitterConfig, RandomCropConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.structures import abstract_batch
from tests.data.samples import index_only, make_config, random_dataset

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZES = [(30, 40)] * 7 + [(40, 30)] * 3
CONFIG = make_config(short_sides=(20, 32))
EVERYTHING = make_config(
    short_sides=(20, 32),
    jitter=LargeScaleJitterConfig(scales=(0.1, 2.0), size=(32, 64)),
    crop=RandomCropConfig(probability=0.5, min_share=0.6),
    colour=ColourJitterConfig(brightness=0.4, contrast=0.4, saturation=0.4),
    copy_paste=CopyPasteConfig(probability=0.7),
    repeat_threshold=0.5,
)


@pytest.fixture(scope="module")
def dataset():
    dataset = random_dataset(SIZES)
    labels = ((1,), (2,)) + ((0,),) * 8  # of which two are rare
    return dataclasses.replace(dataset, labels=labels)


def test_abstract_batches_have_their_shapes(dataset):
    jitter = LargeScaleJitterConfig(scales=(0.5, 1.5), size=(64, 64))
    config = make_config(
        batch_size=4, eval_batch_size=3, padded_sizes=((64, 96),), jitter=jitter, max_objects=7
    )

    def shapes(batch):
        return jax.tree.map(lambda x: (x.shape, x.dtype), batch)

    [batch] = take(train_batches(dataset, config, seed=0), 1)
    expected = abstract_batch(4, (64, 64), num_slots=7, mask_size=config.mask_size)
    assert shapes(batch) == shapes(expected)
    [(batch,)] = take(eval_batches(dataset, config), 1)
    assert shapes(batch) == shapes(abstract_batch(3, (64, 96), num_slots=0, mask_size=0))


def take(stream, count):
    batches = list(itertools.islice(stream, count))
    stream.close()
    return batches


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y) is np.ndarray
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def test_batches_are_those_of_the_plan(dataset):
    plan = TrainPlan(dataset, CONFIG, seed=3)
    for number, batch in enumerate(take(train_batches(dataset, CONFIG, seed=3), 8)):
        planned = plan.batch(number)
        assert batch.images.shape == (4, *planned.padded_size, 3)
        assert batch.indices.tolist() == [entry.view.index for entry in planned.entries]
        assert batch.sizes.tolist() == [list(entry.view.size) for entry in planned.entries]
        assert batch.ground_truth.masks.shape == (4, 1, 28, 28)
        assert batch.ground_truth.valid.all()


@pytest.mark.parametrize("config", [CONFIG, EVERYTHING])
def test_training_goes_on_from_any_position(dataset, config):
    stream = train_batches(dataset, config, seed=1)
    batches = list(itertools.islice(stream, 9))
    assert stream.position == 9  # although more have been made ahead
    stream.close()
    for start in (0, 4, 7):
        resumed = train_batches(dataset, config, seed=1, start=start)
        assert_equal(take(resumed, 9 - start), batches[start:])


@pytest.mark.parametrize("config", [CONFIG, EVERYTHING])
def test_processes_share_every_batch(dataset, config):
    whole = take(train_batches(dataset, config, seed=1), 5)
    parts = [
        take(train_batches(dataset, config, seed=1, process_index=i, process_count=2), 5)
        for i in range(2)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert_equal(jax.tree.map(lambda *leaves: np.concatenate(leaves), *shares), batch)


def test_all_recipes_together_keep_the_shapes_of_a_batch(dataset):
    """And do something: objects are pasted, cut away, and seen in another size."""
    batches = take(train_batches(dataset, EVERYTHING, seed=0), 12)
    assert {batch.images.shape for batch in batches} == {(4, 32, 64, 3)}
    assert {batch.ground_truth.masks.shape for batch in batches} == {(4, 2, 28, 28)}
    assert all((batch.sizes == (32, 64)).all() for batch in batches)
    counts = Counter(batch.ground_truth.valid.sum(1).tolist()[0] for batch in batches)
    assert set(counts) == {0, 1, 2}
    for batch in batches:
        boxes = batch.ground_truth.boxes[batch.ground_truth.valid]
        assert (boxes >= 0).all()
        assert (boxes <= (64, 32, 64, 32)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_evaluation_knows_no_recipes(dataset):
    assert_equal(list(eval_batches(dataset, EVERYTHING)), list(eval_batches(dataset, CONFIG)))


def test_evaluation_is_those_of_the_plan_and_ends(dataset):
    plan = plan_evaluation(dataset, CONFIG)
    batches = [batch for (batch,) in eval_batches(dataset, CONFIG)]
    assert len(batches) == len(plan) == 3
    for number, batch in enumerate(batches):
        entries = plan.batch(number).entries
        assert batch.valid.tolist() == [entry.valid for entry in entries]
        assert batch.indices[batch.valid].tolist() == [e.view.index for e in entries if e.valid]
        assert not batch.images[~batch.valid].any()
        assert batch.ground_truth.boxes.shape == (4, 0, 4)
    shares = [eval_batches(dataset, CONFIG, process_index=i, process_count=4) for i in range(4)]
    for batch, *parts in zip(batches, *shares, strict=True):
        parts = [part for (part,) in parts]
        assert_equal(jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts), batch)


def test_views_of_a_batch_are_of_the_same_images_at_their_scales(dataset):
    augmentation = AugmentationConfig(scales=(1.0, 0.5), flip=True)
    plain = [batch for (batch,) in eval_batches(dataset, CONFIG)]
    for batch, views in zip(plain, eval_batches(dataset, CONFIG, augmentation), strict=True):
        height, width = batch.images.shape[1:3]
        assert_equal(views[0], batch)
        assert [view.images.shape[1:3] for view in views[:2]] == [(height, width)] * 2
        smaller = tuple(-(-side // 64) * 32 for side in (height, width))
        assert [view.images.shape[1:3] for view in views[2:]] == [smaller] * 2
        for view in views:
            assert_equal(view.indices, batch.indices)
            assert_equal(view.valid, batch.valid)


def test_worker_processes_give_the_same_batches(dataset):
    """With all that is random, from any position; and the same error, and an end."""
    in_workers = dataclasses.replace(EVERYTHING, num_workers=2)
    stream = train_batches(dataset, in_workers, seed=1, start=3)
    expected = take(train_batches(dataset, EVERYTHING, seed=1, start=3), 5)
    assert_equal(take(stream, 5), expected)

    records = list(dataset.records)
    records[9] = dataclasses.replace(records[9], image=b"damaged", file_name="street.png")
    stream = eval_batches(dataclasses.replace(dataset, records=records), in_workers)
    batches = []
    with pytest.raises(InputError, match=r"^street\.png: not a readable image"):
        batches.extend(stream)
    assert_equal(batches, list(eval_batches(dataset, CONFIG))[: len(batches)])


def test_an_error_in_a_thread_is_the_users_error(dataset):
    records = [dataclasses.replace(record, width=7) for record in dataset.records]
    stream = train_batches(dataclasses.replace(dataset, records=records), CONFIG, seed=0)
    with pytest.raises(InputError, match=r"\.png: the image is \d+x\d+") as caught:
        next(stream)
    assert not getattr(caught.value, "__notes__", [])


def test_slots_are_those_of_the_fullest_image():
    crowded = index_only([(30, 40)] * 3, [2, 9, 4])
    assert count_object_slots(crowded, CONFIG) == 9
    assert count_object_slots(crowded, make_config(max_objects=12)) == 12
    assert count_object_slots(index_only([(30, 40)], [0]), CONFIG) == 1
    assert count_object_slots(crowded, EVERYTHING) == 18
    limited = dataclasses.replace(EVERYTHING, max_objects=12)
    assert count_object_slots(crowded, limited) == 12
    with pytest.raises(InputError, match=r"^1\.jpg: .*9 objects.*max_objects \(8\)"):
        count_object_slots(crowded, make_config(max_objects=8))


def test_a_batch_that_cannot_be_shared_equally_is_an_error(dataset):
    with pytest.raises(InputError, match=r"^batch_size \(4\).* 3 processes"):
        train_batches(dataset, CONFIG, seed=0, process_count=3)
    with pytest.raises(InputError, match=r"^eval_batch_size \(4\).* 3 processes"):
        eval_batches(dataset, CONFIG, process_count=3)
