"""Infinite outputs and NaN: cases of Detectron2's test_rpn.py and test_model_e2e.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.roi.detections import DetectionConfig, decode_boxes, detect
from maskrcnn_jax.rpn.proposals import ProposalConfig, propose

IMAGE = np.array([510, 510])


@functools.partial(jax.jit, static_argnames="iou_threshold")
def proposals_of(logits, deltas, anchors, size, *, iou_threshold=0.7):
    """Of a pyramid of one level."""
    config = ProposalConfig(before_nms=1000, after_nms=1000, iou_threshold=iou_threshold)
    return propose({2: logits}, {2: deltas}, {2: anchors}, size, config=config)


def test_find_rpn_proposals_inf():
    """Two infinite scores among 27 boxes: they alone are dropped."""
    rng = np.random.default_rng(0)
    boxes, logits = np.float32(rng.random((27, 4))), np.float32(rng.random(27))
    boxes[:, 2:] += boxes[:, :2]  # the original leaves some boxes inside out
    deltas, size = np.zeros((27, 4), np.float32), np.array([10, 10])
    without = np.delete(np.arange(27), [3, 4])
    expected = proposals_of(
        logits[without], deltas[without], boxes[without], size, iou_threshold=0.5
    )
    logits[3:5] = np.inf
    found = proposals_of(logits, deltas, boxes, size, iou_threshold=0.5)
    for name in ("boxes", "scores"):
        kept, all_but = (
            np.asarray(getattr(x, name))[np.asarray(x.valid)] for x in (found, expected)
        )
        np.testing.assert_array_equal(kept, all_but)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_rpn_inf_nan_data(value):
    """No proposals; the original is switched off, because there ReLU may hide the values."""
    anchors = np.float32([[0, 0, 30, 40]] * 9)
    logits, deltas = np.full(9, value, np.float32), np.full((9, 4), value, np.float32)
    assert not proposals_of(logits, deltas, anchors, IMAGE).valid.any()


@jax.jit
def detections_of(logits, deltas, boxes):
    refined = decode_boxes(
        deltas, boxes, jnp.asarray(IMAGE), weights=(10.0, 10.0, 5.0, 5.0), limit_shrinking=False
    )
    valid = jnp.ones(len(boxes), bool)
    return detect(jax.nn.softmax(logits), refined, valid, config=DetectionConfig())


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_roiheads_inf_nan_data(value):
    """No detections."""
    logits, deltas = np.full((1, 81), value, np.float32), np.full((1, 320), value, np.float32)
    found = detections_of(logits, deltas, np.float32([[10, 10, 20, 20]]))
    assert not found.valid.any()
    assert np.isfinite(found.boxes).all()
