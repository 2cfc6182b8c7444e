"""Training samples: cases of torchvision's test_models_detection_utils.py and
test_models_detection_negative_samples.py."""

import functools

import jax
import numpy as np

from maskrcnn_jax.ops.subsampling import subsample
from maskrcnn_jax.roi.sampling import RoISamplingConfig, sample_rois
from maskrcnn_jax.rpn.targets import AnchorSamplingConfig, anchor_targets
from maskrcnn_jax.structures import GroundTruth, Proposals

NUM_SLOTS, NUM_CLASSES = 2, 1


def test_balanced_positive_negative_sampler():
    """Four of six negatives, three positives and two to ignore; a quarter may be positive."""
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, -1, -1])
    choose = jax.jit(functools.partial(subsample, num_samples=4, max_positives=1))
    for seed in range(5):
        chosen = choose(labels == 1, labels == 0, jax.random.key(seed))
        np.testing.assert_array_equal(chosen.valid, [True] * 4)
        np.testing.assert_array_equal(labels[chosen.indices], [1, 0, 0, 0])
        assert len(set(chosen.indices.tolist())) == 4


def boxes_inside_out(count):
    """Whole numbers for all coordinates, so that many boxes have no area."""
    return np.random.default_rng(0).integers(-50, 50, (count, 4)).astype(np.float32)


def test_targets_to_anchors():
    """Without objects every anchor is negative and has no box to reach."""
    config = AnchorSamplingConfig(positive_from=0.5)
    targets = jax.jit(functools.partial(anchor_targets, config=config))(
        boxes_inside_out(3),
        np.zeros((NUM_SLOTS, 4), np.float32),
        np.zeros(NUM_SLOTS, bool),
        jax.random.key(0),
    )
    np.testing.assert_array_equal(np.sort(targets.indices), [0, 1, 2])
    assert targets.valid.all()
    assert not targets.positive.any()
    assert not targets.boxes.any()


def test_assign_targets_to_proposals():
    """Without objects every proposal is background."""
    truth = GroundTruth(
        boxes=np.zeros((NUM_SLOTS, 4), np.float32),
        labels=np.zeros(NUM_SLOTS, np.int32),
        masks=np.zeros((NUM_SLOTS, 4, 4), bool),
        mask_frames=np.zeros((NUM_SLOTS, 4), np.float32),
        valid=np.zeros(NUM_SLOTS, bool),
    )
    proposals = Proposals(
        boxes=boxes_inside_out(20), scores=np.zeros(20, np.float32), valid=np.ones(20, bool)
    )
    sample = functools.partial(sample_rois, num_classes=NUM_CLASSES, config=RoISamplingConfig())
    samples = jax.jit(sample)(proposals, truth, jax.random.key(0))
    labels = np.asarray(samples.labels)[np.asarray(samples.valid)]
    np.testing.assert_array_equal(labels, [NUM_CLASSES] * 20)
