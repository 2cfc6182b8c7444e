import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig, views
from maskrcnn_jax.data.pipeline import stack
from maskrcnn_jax.inference.augmentation import (
    Frame,
    from_first,
    make_augmented_step,
    merge,
    to_first,
)
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.suppression import NMSConfig
from maskrcnn_jax.structures import Detections
from maskrcnn_jax.training.sharding import data_mesh, shard_batch
from maskrcnn_jax.training.state import initial_variables
from maskrcnn_jax.training.step import make_predict_step
from tests import tiny
from tests.data.samples import make_config

PLAIN = tiny.tiny_config()
CONFIG = make_config(eval_short_side=64, long_side=96, padded_sizes=((64, 96),))
BOTH_WAYS = AugmentationConfig(scales=(1.0,), flip=True)


@functools.cache
def variables(model):
    init = functools.partial(initial_variables, model.build(), seed=0)
    return tiny.variables_like(init, seed=2)


def images(seed=0, *, size=(50, 80)):
    """Two images, smaller than their padded size."""
    batch = tiny.random_batch(seed, sizes=[size] * 2)
    return [np.asarray(image)[: size[0], : size[1]] for image in batch.images]


def seen(pictures, augmentation):
    """A batch of each view, without any resizing at scale 1."""
    config = dataclasses.replace(CONFIG, eval_short_side=min(pictures[0].shape[:2]))
    examples = [
        views(picture, config, augmentation, padded_size=(64, 96), index=i)
        for i, picture in enumerate(pictures)
    ]
    return stack(examples)


def predict(model, batches, flips):
    step = make_augmented_step(model, data_mesh(), flips=flips)
    return jax.device_get(step(variables(model), shard_batch(batches, data_mesh())))


@functools.cache
def plain_step(model):
    return make_predict_step(model.build(), data_mesh())


def plain_predict(model, batch):
    return jax.device_get(plain_step(model)(variables(model), shard_batch(batch, data_mesh())))


def test_one_view_seen_once_or_twice_gives_what_plain_prediction_gives():
    """The other RoI heads are in tests/slow."""
    assert_single_view_is_plain(PLAIN)


def assert_single_view_is_plain(model):
    """Equal to the last bit; with the same view twice, entries may be left empty at the end."""
    [batch] = seen(images(), NO_AUGMENTATION)
    expected = plain_predict(model, batch)
    assert expected.valid.sum() >= 5
    jax.tree.map(np.testing.assert_array_equal, predict(model, [batch], (False,)), expected)
    twice = predict(model, [batch, batch], (False, False))
    for field in ("boxes", "scores", "labels", "valid", "masks", "mask_scores"):
        ours, theirs = getattr(twice, field), getattr(expected, field)
        np.testing.assert_array_equal(ours[:, : theirs.shape[1]], theirs)


def test_a_mirrored_image_gives_mirrored_results():
    pictures = images(1)
    width = pictures[0].shape[1]
    found = predict(PLAIN, seen(pictures, BOTH_WAYS), BOTH_WAYS.flips)
    turned = [picture[:, ::-1] for picture in pictures]
    mirrored = predict(PLAIN, seen(turned, BOTH_WAYS), BOTH_WAYS.flips)
    assert found.valid.sum() >= 5
    np.testing.assert_array_equal(found.valid, mirrored.valid)
    valid = found.valid
    np.testing.assert_array_equal(found.scores[valid], mirrored.scores[valid])
    np.testing.assert_array_equal(found.labels[valid], mirrored.labels[valid])
    x1, y1, x2, y2 = mirrored.boxes[valid].T
    back = np.stack([width - x2, y1, width - x1, y2], -1)
    np.testing.assert_allclose(found.boxes[valid], back, atol=1e-4)
    np.testing.assert_allclose(found.masks[valid], mirrored.masks[valid][..., ::-1], atol=1e-5)
    other = plain_predict(PLAIN, seen(pictures, BOTH_WAYS)[0])
    assert not np.array_equal(other.scores, found.scores)  # the detector alone has no such law


class Spotter:
    """A detector without weights: it boxes the bright pixels of an image and copies what is there.

    Stands for config and model in one.
    """

    def __init__(self, *, has_masks):
        self.has_masks = has_masks

    roi = types.SimpleNamespace(detections=DetectionConfig())

    def build(self):
        return self

    def apply(self, variables, *inputs, method):
        return getattr(self, method)(*inputs)

    def features(self, batch):
        return {0: (batch.images[..., :1] > 127).astype(jnp.float32)}

    def detect(self, features, sizes):
        columns, rows = (features[0][..., 0].max(axis) > 0 for axis in (1, 2))  # [b, w], [b, h]
        ends = [x.shape[1] - jnp.argmax(x[:, ::-1], axis=1) for x in (columns, rows)]
        box = jnp.stack([jnp.argmax(columns, 1), jnp.argmax(rows, 1), *ends], -1)
        one = jnp.ones((len(sizes), 1))
        return Detections(
            boxes=box[:, None].astype(jnp.float32),
            scores=0.9 * one,
            labels=jnp.zeros((len(sizes), 1), int),
            masks=jnp.zeros((len(sizes), 1, 0, 0)),
            mask_frames=box[:, None].astype(jnp.float32),
            mask_scores=0.9 * one,
            valid=one > 0,
        )

    def masks_of(self, features, detections):
        def copied(pixels, box):
            x, y = (box[i] + (jnp.arange(8) + 0.5) / 8 * (box[i + 2] - box[i]) for i in (0, 1))
            return pixels[y.astype(int)[:, None], x.astype(int)][None]

        masks = jax.vmap(copied)(features[0][..., 0], detections.boxes[:, 0])
        return dataclasses.replace(detections, masks=masks)


@pytest.mark.parametrize("has_masks", [True, False])
def test_all_views_agree_on_what_they_see_exactly(has_masks):
    """An F, which no mirroring and no exchange of axes leaves alone, at three sizes, both ways."""
    letter = np.zeros((48, 64, 3), np.uint8)
    letter[8:40, 8:12] = letter[8:12, 8:40] = letter[20:24, 8:32] = 255
    augmentation = AugmentationConfig(scales=(0.5, 1.0, 2.0), flip=True)
    config = make_config(eval_short_side=48, long_side=64, padded_sizes=((64, 96),))
    examples = views(letter, config, augmentation, padded_size=(64, 96), index=0)
    batches = shard_batch(stack([examples, examples]), data_mesh())
    step = make_augmented_step(Spotter(has_masks=has_masks), data_mesh(), flips=augmentation.flips)
    found = jax.device_get(step({}, batches))
    np.testing.assert_array_equal(found.valid.sum(1), [1, 1])  # not one for each view
    np.testing.assert_allclose(found.boxes[:, 0], [[4, 4, 20, 20]] * 2)  # of the first, half view
    expected = letter[8:40, 8:40, 0][2::4, 2::4] / 255 if has_masks else np.zeros((0, 0))
    np.testing.assert_array_equal(found.masks[:, 0], [expected] * 2)


@pytest.mark.parametrize("flip", [False, True])
def test_there_and_back_again(flip):
    boxes = jnp.asarray([[0, 0, 80, 50], [3, 4, 20, 40], [70.5, 1, 80, 2]], jnp.float32)
    first = Frame(jnp.asarray([50, 80]), jnp.asarray(False))
    view = Frame(jnp.asarray([75, 100]), jnp.asarray(flip))
    there = from_first(boxes, view, first)
    np.testing.assert_allclose(to_first(there, view, first), boxes, atol=1e-4)
    left = 100 - 20 * 1.25 if flip else 3 * 1.25
    right = 100 - 3 * 1.25 if flip else 20 * 1.25
    np.testing.assert_allclose(there[1], [left, 6, right, 60], atol=1e-4)
    same = to_first(boxes, first, first)
    np.testing.assert_array_equal(same, boxes)


def detections(boxes, scores, labels, valid):
    boxes, scores = jnp.asarray(boxes, jnp.float32), jnp.asarray(scores, jnp.float32)
    return Detections(
        boxes=boxes,
        scores=scores,
        labels=jnp.asarray(labels),
        masks=jnp.zeros((len(boxes), 0, 0)),
        mask_frames=boxes,
        mask_scores=scores,
        valid=jnp.asarray(valid),
    )


def test_merging_is_nms_within_classes_and_ignores_garbage():
    box, nearly, nowhere = [10, 10, 30, 30], [10, 10, 30, 31], [np.nan] * 4
    frames = [Frame(jnp.asarray([50, 80]), jnp.asarray(flip)) for flip in (False, True)]
    mirrored = [80 - 30, 10, 80 - 10, 31]  # ``nearly``, in a mirrored image
    merged = merge(
        [
            detections([box, box, nowhere], [0.5, 0.4, np.nan], [1, 2, 0], [True, True, False]),
            detections([mirrored, nowhere], [0.9, 0.99], [1, 1], [True, False]),
        ],
        frames,
        config=DetectionConfig(nms=NMSConfig(iou_threshold=0.5), max_detections=4),
    )
    assert merged.valid.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(merged.boxes[:2], np.float32([nearly, box]))
    assert merged.labels[:2].tolist() == [1, 2]
    np.testing.assert_allclose(merged.scores, [0.9, 0.4, 0, 0])
