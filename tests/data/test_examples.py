import dataclasses

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.colours import ColourJitterConfig
from maskrcnn_jax.data.examples import filling_example, image_example, training_example
from maskrcnn_jax.data.images import resize_image
from maskrcnn_jax.data.plan import Entry
from maskrcnn_jax.data.views import View
from tests.data.samples import make_annotation, make_config, make_record

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = (48, 80)
VIEW = View(index=5, window=(0, 0, 80, 48), size=(30, 50), canvas=(30, 50), flip=False)
ENTRY = Entry(view=VIEW)


def noise(size=SIZE):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def train(annotations, *, entry=ENTRY, num_slots=3):
    records = {5: make_record(noise(), annotations)}
    return training_example(
        records, entry, padded_size=(32, 64), num_slots=num_slots, config=make_config()
    )


def test_shapes_and_types():
    example = train([make_annotation((0, 0, 8, 8))])
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), example)
    truth = shapes.ground_truth
    assert shapes.images == ((32, 64, 3), "uint8")
    assert shapes.sizes == ((2,), "int32")
    assert shapes.indices == ((), "int32")
    assert shapes.valid == ((), "bool")
    assert truth.boxes == truth.mask_frames == ((3, 4), "float32")
    assert truth.labels == ((3,), "int32")
    assert truth.masks == ((3, 28, 28), "bool")
    assert truth.valid == ((3,), "bool")


def test_objects_come_first_and_padding_is_zero():
    example = train([make_annotation((16, 8, 32, 16), label=4)])
    truth = example.ground_truth
    np.testing.assert_allclose(truth.boxes[0], [10, 5, 30, 15])
    np.testing.assert_allclose(truth.mask_frames[0], [10, 5, 30, 15])
    assert truth.labels.tolist() == [4, 0, 0]
    assert truth.valid.tolist() == [True, False, False]
    assert truth.masks[0].all()
    for padding in (truth.boxes[1:], truth.masks[1:], truth.mask_frames[1:]):
        assert not padding.any()
    assert example.sizes.tolist() == [30, 50]
    assert example.indices == 5
    assert example.images[:30, :50].any(-1).mean() > 0.99
    assert not example.images[30:].any()
    assert not example.images[:, 50:].any()


def test_a_flip_mirrors_the_image_within_its_own_width():
    boxes = [make_annotation((0, 0, 16, 8))]
    straight = train(boxes)
    flipped = train(boxes, entry=Entry(view=dataclasses.replace(VIEW, flip=True)))
    np.testing.assert_array_equal(flipped.images[:30, :50], straight.images[:30, :50][:, ::-1])
    np.testing.assert_allclose(flipped.ground_truth.boxes[0], [40, 0, 50, 5])


def test_a_part_of_the_image_on_a_larger_canvas():
    """Resized, put at the top left of grey, and then mirrored, as Detectron2 orders it."""
    view = View(index=5, window=(10, 8, 60, 40), size=(16, 25), canvas=(32, 64), flip=True)
    boxes = [make_annotation((20, 12, 20, 20), label=1), make_annotation((0, 0, 9, 9), label=2)]
    example = train(boxes, entry=Entry(view=view))
    part = resize_image(noise()[8:40, 10:60], (16, 25))
    np.testing.assert_array_equal(example.images[:16, 39:], part[:, ::-1])
    assert (example.images[16:] == 128).all()
    assert (example.images[:, :39] == 128).all()
    assert example.sizes.tolist() == [32, 64]
    truth = example.ground_truth
    assert truth.labels.tolist() == [1, 0, 0]
    assert truth.valid.tolist() == [True, False, False]
    np.testing.assert_allclose(truth.boxes[0], [64 - 15, 2, 64 - 5, 12])


PASTED = View(index=6, window=(0, 0, 80, 48), size=(30, 50), canvas=(30, 50), flip=False)


def paste(*, seed, num_slots=4, config=None):
    """Two white objects onto noise with one."""
    white = make_record(
        np.full((*SIZE, 3), 255, np.uint8),
        [make_annotation((48, 16, 16, 16), label=7), make_annotation((64, 32, 8, 8), label=8)],
    )
    return training_example(
        {5: make_record(noise(), [make_annotation((0, 0, 16, 8), label=3)]), 6: white},
        Entry(view=VIEW, source=PASTED, seed=seed),
        padded_size=(32, 64),
        num_slots=num_slots,
        config=config or make_config(),
    )


def test_objects_are_pasted_by_the_seed_of_the_entry():
    examples = [paste(seed=seed) for seed in range(40)]
    found = {tuple(example.ground_truth.labels.tolist()) for example in examples}
    assert found == {(3, 0, 0, 0), (3, 7, 0, 0), (3, 8, 0, 0), (3, 7, 8, 0)}
    for example in examples:
        labels, valid = example.ground_truth.labels, example.ground_truth.valid
        assert example.images[15, 35].min() == 255 or 7 not in labels[valid]
        assert example.ground_truth.boxes.shape == (4, 4)
    assert jax.tree.all(jax.tree.map(np.array_equal, paste(seed=9), examples[9]))


def test_objects_are_pasted_only_into_free_slots():
    for seed in range(20):
        assert paste(seed=seed, num_slots=1).ground_truth.labels.tolist() == [3]
        assert paste(seed=seed, num_slots=2).ground_truth.valid.sum() <= 2


def test_colours_change_but_not_the_grey_around_them():
    view = dataclasses.replace(VIEW, canvas=(32, 60))
    config = make_config(colour=ColourJitterConfig(brightness=0.5, contrast=0.5, saturation=0.5))

    def image(seed, config):
        entry = Entry(view=view, seed=seed)
        records = {5: make_record(noise())}
        return training_example(
            records, entry, padded_size=(32, 64), num_slots=1, config=config
        ).images

    plain, images = image(0, make_config()), [image(seed, config) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()
    assert (images[0][:30, :50] != plain[:30, :50]).mean() > 0.5
    np.testing.assert_array_equal(images[0][:, 50:], plain[:, 50:])
    np.testing.assert_array_equal(images[0][30:], plain[30:])


@pytest.mark.parametrize("num_objects", [0, 1, 500])
def test_any_number_of_objects(num_objects):
    boxes = [make_annotation((i % 70, i // 70, 5, 5), label=i) for i in range(num_objects)]
    truth = train(boxes, num_slots=max(num_objects, 1)).ground_truth
    assert truth.valid.sum() == num_objects
    assert truth.labels[:num_objects].tolist() == list(range(num_objects))


def test_boxes_are_clipped_and_those_left_without_area_are_not_valid():
    truth = train(
        [
            make_annotation((70, 40, 40, 40)),
            make_annotation((85, 10, 10, 10)),
            make_annotation((8, 8, 0, 8)),
        ]
    ).ground_truth
    assert truth.valid.tolist() == [True, False, False]
    np.testing.assert_allclose(truth.boxes[0], [43.75, 25, 50, 30])
    np.testing.assert_allclose(truth.mask_frames[0], [43.75, 25, 50, 30])


def test_an_image_alone_has_the_same_pixels_and_no_ground_truth():
    example = image_example(noise(), size=(30, 50), padded_size=(32, 64), index=5)
    np.testing.assert_array_equal(example.images, train([]).images)
    assert example.ground_truth.boxes.shape == (0, 4)
    assert example.sizes.tolist() == [30, 50]
    assert example.indices == 5


def test_filling_examples_have_the_shapes_of_images_alone():
    expected = image_example(noise(), size=(30, 50), padded_size=(32, 64), index=5)
    filling = filling_example(padded_size=(32, 64))
    assert not filling.valid
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, filling, expected)
    assert jax.tree.all(same)
