import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.data.image_views import AugmentationConfig
from maskrcnn_jax.data.pipeline import stack
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import in_original_frame
from maskrcnn_jax.inference.batches import batched
from maskrcnn_jax.inference.predictor import Predictor
from tests import tiny
from tests.data.samples import make_config
from tests.solo.models import tiny_solov2

CONFIG = make_config(eval_batch_size=2, eval_short_side=64, long_side=96, padded_sizes=((64, 96),))
# Given sizes, all of which come to fit into 64x96.
SIZES = [(64, 96), (32, 40), (128, 150), (50, 70), (200, 210)]


@pytest.fixture(scope="module")
def predictor():
    return Predictor(
        *(tiny.tiny_config(), tiny.tiny_variables(), CONFIG), class_names=("a", "b", "c")
    )


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)


def test_each_image_comes_once_in_its_own_pixels(predictor):
    images = dict(enumerate((noise(size, seed) for seed, size in enumerate(SIZES)), start=7))
    examples = {i: predictor.views(image, name="", index=i) for i, image in images.items()}
    found = dict(
        predictor.predict(
            batched(examples.values(), 2), original_size=lambda i: images[i].shape[:2]
        )
    )
    assert list(found) == list(images)
    for index, (example,) in examples.items():
        batch = stack([example, example])
        [expected, _] = [
            in_original_frame(
                jax.tree.map(lambda x, row=row: np.asarray(x)[row], tiny.predict(batch)),
                resized=example.sizes.tolist(),
                original=images[index].shape[:2],
                paste="exact",
            )
            for row in range(2)
        ]
        assert len(found[index]) == len(expected) > 0
        np.testing.assert_allclose(found[index].scores, expected.scores, rtol=1e-4)
        np.testing.assert_allclose(found[index].boxes, expected.boxes, atol=0.05)
        assert found[index].size == images[index].shape[:2]
        assert np.asarray(found[index].masks).shape == (len(expected), *images[index].shape[:2])
        assert set(found[index].names) <= {"a", "b", "c"}


def test_a_batch_is_running_while_the_one_before_is_handed_out(predictor):
    """One batch further, and no more."""
    taken = []

    def batches():
        for number in range(4):
            taken.append(number)
            views = predictor.views(noise((64, 96)), name="", index=number)
            yield from batched([views, views], 2)

    results = predictor.predict(batches(), original_size=lambda _: (64, 96))
    assert next(results)[0] == 0
    assert taken == [0, 1]
    next(results)
    assert taken == [0, 1]
    assert next(results)[0] == 1
    assert taken == [0, 1, 2]
    assert len(list(results)) == 5
    assert not list(predictor.predict([], original_size=lambda _: (1, 1)))


@pytest.mark.parametrize(
    ("eval_batch_size", "num_images", "expected"),
    [(2, 100, 2), (3, 100, 4), (8, 100, 8), (8, 3, 4), (8, 1, 2), (8, 0, 2)],
)
def test_batches_divide_over_two_devices_and_are_no_larger_than_needed(
    eval_batch_size, num_images, expected
):
    config = dataclasses.replace(CONFIG, eval_batch_size=eval_batch_size)
    predictor = Predictor(tiny.tiny_config(), {}, config)
    assert predictor.batch_size(num_images) == expected
    augmented = Predictor(tiny.tiny_config(), {}, config, augmentation=AugmentationConfig())
    assert augmented.batch_size(num_images) == 2


def test_augmentation_needs_boxes():
    with pytest.raises(InputError, match=r"SOLOv2 cannot; predict without --tta"):
        Predictor(tiny_solov2(), {}, CONFIG, augmentation=AugmentationConfig())


def test_running_out_of_memory_tells_what_to_change(predictor, monkeypatch):
    def allocate(*_):
        return jax.jit(lambda: jnp.zeros(1 << 46, jnp.float32))()

    monkeypatch.setattr(predictor, "_step", allocate)
    batches = batched([predictor.views(noise((64, 96)), name="", index=0)] * 2, 2)
    with pytest.raises(InputError, match=r"not enough memory(.|\n)*--input.padded-sizes"):
        list(predictor.predict(batches, original_size=lambda _: (64, 96)))
    monkeypatch.setattr("maskrcnn_jax.inference.predictor.replicate", allocate)
    with pytest.raises(InputError, match=r"not enough memory(.|\n)*--tta False"):
        Predictor(tiny.tiny_config(), {}, CONFIG, augmentation=AugmentationConfig())
