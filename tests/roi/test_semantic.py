import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.semantic import SemanticHeadConfig, semantic_losses
from maskrcnn_jax.roi.semantic_targets import ObjectMasksConfig, SemanticMapsConfig
from maskrcnn_jax.structures import GroundTruth
from tests import tiny

K = tiny.NUM_CLASSES
SIZES = jnp.asarray([[64, 96], [50, 80]])
LABELS = 7


def random_inputs(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, LABELS, (2, 8, 12)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    truth = tiny.random_batch(seed, sizes=[(64, 96), (50, 80)]).ground_truth
    truth = dataclasses.replace(truth, semantic_map=jnp.asarray(labels))
    return jnp.asarray(rng.normal(size=(2, 8, 12, LABELS)), jnp.float32), truth


@jax.jit
def loss(logits, truth):
    config = SemanticHeadConfig(target=SemanticMapsConfig(num_labels=LABELS))

    def total(logits):
        terms = semantic_losses(logits, truth, SIZES, num_classes=K, config=config)
        return terms["roi_semantic"].sum, terms["roi_semantic"]

    return jax.value_and_grad(total, has_aux=True)(logits)


def is_real():
    """[2, 8, 12]: cells whose first pixel belongs to the image."""
    rows, columns = 8 * np.arange(8)[:, None], 8 * np.arange(12)
    return np.stack([(rows < h) & (columns < w) for h, w in np.asarray(SIZES)])


def test_the_loss_on_maps_equals_the_slow_loop():
    logits, truth = random_inputs(0)
    (_, term), _ = loss(logits, truth)
    total, count = 0.0, 0
    for place in zip(*np.nonzero(is_real()), strict=True):
        label = int(truth.semantic_map[place])
        if label != 255:
            values = np.asarray(logits[place], np.float64)
            total += np.log(np.exp(values).sum()) - values[label]
            count += 1
    assert term.count == count
    np.testing.assert_allclose(term.sum, 0.2 * total, rtol=1e-5)


def test_padding_and_what_is_unknown_may_hold_anything():
    logits, truth = random_inputs(1)
    counted = is_real() & (np.asarray(truth.semantic_map) != 255)
    spoilt = dataclasses.replace(
        truth, semantic_map=jnp.where(is_real(), truth.semantic_map, 200).astype(jnp.uint8)
    )
    dirty = loss(jnp.where(counted[..., None], logits, jnp.nan), spoilt)
    jax.tree.map(np.testing.assert_array_equal, loss(logits, truth), dirty)


def test_nothing_known_gives_no_loss_and_no_gradient():
    logits, truth = random_inputs(2)
    unknown = dataclasses.replace(truth, semantic_map=jnp.full((2, 8, 12), 255, jnp.uint8))
    (value, term), gradient = loss(logits, unknown)
    assert value == term.sum == term.count == 0
    assert not gradient.any()


def test_a_batch_without_maps_is_refused():
    logits, truth = random_inputs(3)
    with pytest.raises(ValueError, match=r"none: its pipeline needs input\.semantic_labels"):
        loss(logits, dataclasses.replace(truth, semantic_map=None))


def two_objects(first, second, **changes):
    """Full masks over two boxes, of classes 0 and 1, in one image of 8x8 cells."""
    boxes = jnp.asarray([first, second], jnp.float32)
    fields = {
        "boxes": boxes,
        "labels": jnp.asarray([0, 1]),
        "masks": jnp.ones((2, 4, 4), bool),
        "mask_frames": boxes,
        "valid": jnp.ones(2, bool),
    }
    return GroundTruth(**(fields | changes))


def labels_of(truth):
    labels, known = ObjectMasksConfig().labels(truth, (8, 8), num_classes=K)
    assert known.all()
    return np.asarray(labels)


def test_of_overlapping_objects_the_smaller_one_is_seen():
    large, small = [0, 0, 64, 64], [16, 8, 40, 24]
    for boxes, label in (((large, small), 1), ((small, large), 0)):
        labels = labels_of(two_objects(*boxes))
        assert (labels[1:3, 2:5] == label).all()
        assert (labels == 1 - label).sum() == 64 - 6
    assert (labels_of(two_objects(small, small)) == 0).sum() == 6


def test_a_cell_shows_its_first_pixel():
    labels = labels_of(two_objects([0, 0, 9, 8], [24, 16.6, 32, 40]))
    expected = np.full((8, 8), K)
    expected[0, :2] = 0  # the second cell begins with the last pixel of the box
    expected[3:5, 3] = 1  # row 16 is centred above the box
    np.testing.assert_array_equal(labels, expected)


def test_empty_slots_cover_nothing():
    truth = two_objects([0, 0, 64, 64], [0, 0, 8, 8], valid=jnp.asarray([False, False]))
    for garbage in (np.nan, 1e30, 0.0):
        boxes = jnp.full((2, 4), garbage)
        spoilt = dataclasses.replace(truth, boxes=boxes, mask_frames=boxes)
        assert (labels_of(spoilt) == K).all()
