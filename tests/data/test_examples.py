import jax
import numpy as np
import pytest

from maskrcnn_jax.data.examples import (
    evaluation_example,
    filling_example,
    prediction_example,
    training_example,
)
from maskrcnn_jax.data.plan import Entry
from maskrcnn_jax.errors import InputError
from tests.data.samples import make_annotation, make_config, make_record

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = (48, 80)
ENTRY = Entry(index=5, size=(30, 50), flip=False, valid=True)


def noise(size=SIZE):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def train(annotations, *, entry=ENTRY, num_slots=3):
    record = make_record(noise(), annotations)
    return training_example(record, entry, padded_size=(32, 64), num_slots=num_slots, mask_size=28)


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
    flipped = train(boxes, entry=Entry(index=5, size=(30, 50), flip=True, valid=True))
    np.testing.assert_array_equal(flipped.images[:30, :50], straight.images[:30, :50][:, ::-1])
    np.testing.assert_allclose(flipped.ground_truth.boxes[0], [40, 0, 50, 5])


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


def test_evaluation_sees_the_same_pixels_without_ground_truth():
    record = make_record(noise(), [make_annotation((0, 0, 8, 8))])
    example = evaluation_example(record, ENTRY, padded_size=(32, 64))
    np.testing.assert_array_equal(example.images, train([]).images)
    assert example.ground_truth.boxes.shape == (0, 4)
    assert example.indices == 5


def test_a_users_image_is_sized_like_those_of_an_evaluation():
    config = make_config(eval_short_side=30, long_side=50)
    example = prediction_example(noise(), config, name="mine.jpg", index=5)
    record = make_record(noise())
    expected = evaluation_example(record, ENTRY, padded_size=(32, 64))
    assert jax.tree.all(jax.tree.map(np.array_equal, example, expected))
    with pytest.raises(InputError, match=r"mine\.jpg.*64x64"):
        prediction_example(
            noise((80, 80)), make_config(eval_short_side=60), name="mine.jpg", index=0
        )


def test_filling_examples_have_the_shapes_of_evaluation():
    record = make_record(noise())
    expected = evaluation_example(record, ENTRY, padded_size=(32, 64))
    filling = filling_example(padded_size=(32, 64))
    assert not filling.valid
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, filling, expected)
    assert jax.tree.all(same)
