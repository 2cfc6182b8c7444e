"""Losses and proposals of Detectron2's test_fast_rcnn.py, test_rpn.py and test_roi_heads.py.

The expected numbers are those of its tests; ``outputs.npz`` holds what the heads put out there.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.box_head import BoxHeadConfig, box_losses
from maskrcnn_jax.roi.mask.losses import mask_loss, select_class
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets
from maskrcnn_jax.roi.sampling import RoISamplingConfig, only_positives, sample_rois
from maskrcnn_jax.rpn.anchors import AnchorConfig, pyramid_anchors
from maskrcnn_jax.rpn.proposals import ProposalConfig, propose
from maskrcnn_jax.rpn.rpn import RPNConfig, rpn_losses
from maskrcnn_jax.rpn.targets import anchor_targets
from maskrcnn_jax.structures import GroundTruth, Samples
from tests.peers.cases import HEADS_BOXES, HEADS_LABELS, HEADS_SIZES, outputs

LEVEL = 4  # res4, of 1 x 2 cells
NUM_CLASSES, NUM_USED = 80, 3  # only the first classes occur
RPN = RPNConfig(
    anchors=AnchorConfig(scales=(2.0, 4.0, 8.0, 16.0, 32.0)),
    train_proposals=ProposalConfig(before_nms=12000, after_nms=2000),
)
ANCHORS = pyramid_anchors(RPN.anchors, {LEVEL: (1, 2)})[LEVEL].astype(np.float32)
KEYS = jax.random.split(jax.random.key(0), 2)  # nothing is left to chance: everything is sampled


@pytest.fixture(scope="module")
def heads():
    return outputs()


@jax.jit
def rpn(logits, deltas, truth_boxes):
    """Losses and proposals of two images with the same number of objects, all valid."""
    anchors = jnp.asarray(ANCHORS)

    def targets_of(boxes, key):
        valid = jnp.ones(len(boxes), bool)
        return anchor_targets(anchors, boxes, valid, key, config=RPN.sampling)

    def proposals_of(logits, deltas, size):
        level = {LEVEL: logits}, {LEVEL: deltas}, {LEVEL: anchors}
        return propose(*level, size, config=RPN.train_proposals)

    targets = jax.vmap(targets_of)(truth_boxes, KEYS)
    losses = rpn_losses(logits, deltas, anchors, targets, config=RPN)
    return losses, jax.vmap(proposals_of)(logits, deltas, jnp.asarray(HEADS_SIZES))


def assert_losses(losses, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(losses[name].mean, value, rtol=1e-5, err_msg=name)


def test_fast_rcnn(heads):
    samples = Samples(
        boxes=np.float32([[0.8, 1.1, 3.2, 2.8], [2.3, 2.5, 7, 8]]),
        labels=np.array([1, 2]),
        matched=np.array([0, 1]),
        valid=np.ones(2, bool),
    )
    losses = jax.jit(functools.partial(box_losses, config=BoxHeadConfig()))(
        heads["fast_rcnn_logits"],
        heads["fast_rcnn_deltas"],
        samples,
        np.float32([[1, 1, 3, 3], [2, 2, 6, 6]]),
    )
    assert_losses(losses, {"roi_class": 1.7951188087, "roi_box": 4.0357131958})


def test_rpn(heads):
    truth = np.float32([[[1, 1, 3, 3]], [[2, 2, 6, 6]]])
    losses, proposals = rpn(heads["rpn_logits"], heads["rpn_deltas"], truth)
    assert_losses(losses, {"rpn_objectness": 0.08011703193, "rpn_box": 0.101470276})
    valid = np.asarray(proposals.valid[0])
    boxes, scores = np.asarray(proposals.boxes[0])[valid], np.asarray(proposals.scores[0])[valid]
    np.testing.assert_allclose(boxes, [[0, 0, 10, 10], [7.2702, 0, 10, 10]], atol=1e-4)
    np.testing.assert_allclose(scores, [0.1596, -0.0007], atol=1e-4)


def head_outputs(heads, samples):
    """Logits and deltas of the samples, looked up by their boxes among all that there may be."""
    distance = np.abs(np.asarray(samples.boxes)[:, :, None] - heads["heads_boxes"][:, None]).max(-1)
    place = distance.argmin(-1)
    assert np.take_along_axis(distance, place[..., None], -1)[samples.valid].max() < 1e-4
    logits, used = (
        np.take_along_axis(heads[name], place[..., None], axis=1)
        for name in ("heads_logits", "heads_deltas")
    )
    deltas = np.zeros((*place.shape, 4 * NUM_CLASSES), np.float32)
    deltas[..., : 4 * NUM_USED] = used
    return logits, deltas


def test_roi_heads(heads):
    """Each object's mask is noise of 15 x 15 pixels, whatever its box."""
    truth = GroundTruth(
        boxes=np.float32(HEADS_BOXES),
        labels=np.array(HEADS_LABELS),
        masks=heads["heads_masks"],
        mask_frames=np.broadcast_to(np.float32([0, 0, 15, 15]), (2, 2, 4)),
        valid=np.ones((2, 2), bool),
    )
    losses, proposals = rpn(heads["heads_rpn_logits"], heads["heads_rpn_deltas"], truth.boxes)
    assert_losses(losses, {"rpn_objectness": 0.08186662942171097, "rpn_box": 0.1104838103055954})

    config = RoISamplingConfig()
    sample = functools.partial(sample_rois, num_classes=NUM_CLASSES, config=config)
    samples = jax.jit(jax.vmap(sample))(proposals, truth, KEYS)
    matched_boxes = np.take_along_axis(truth.boxes, np.asarray(samples.matched)[..., None], axis=1)
    losses = jax.jit(functools.partial(box_losses, config=BoxHeadConfig()))(
        *head_outputs(heads, samples), samples, matched_boxes
    )
    assert_losses(losses, {"roi_class": 4.5253729820251465, "roi_box": 0.009785720147192478})

    positives = only_positives(samples, num_classes=NUM_CLASSES, config=config)
    np.testing.assert_array_equal(positives.valid.sum(1), [2, 2])  # the objects themselves
    targets_of = functools.partial(mask_targets, side=28, config=MaskTargetConfig())
    targets = jax.jit(jax.vmap(targets_of))(truth, positives)
    logits = np.zeros((*positives.valid.shape, 28, 28, NUM_USED), np.float32)
    for image, i in np.argwhere(positives.valid):
        matched = int(positives.matched[image, i])
        label = HEADS_LABELS[image][matched]
        logits[image, i, ..., label] = heads["heads_mask_logits"][image, matched]
    logits, targets, labels, valid = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]),
        (logits, targets, positives.labels, positives.valid),
    )
    loss = jax.jit(mask_loss)(select_class(jnp.asarray(logits), labels), targets, valid)
    np.testing.assert_allclose(loss.mean, 0.693184494972229, rtol=1e-5)
