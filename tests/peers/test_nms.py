"""NMS: cases of torchvision's test_ops.py and test_onnx.py and Detectron2's test_nms.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from maskrcnn_jax.ops import nms as nms_module
from tests.ops.test_nms import greedy


@functools.partial(jax.jit, static_argnames="iou_threshold")
def nms(boxes, scores, labels, *, iou_threshold):
    """All boxes are valid, and as many may be kept."""
    return nms_module.nms(
        boxes,
        scores,
        jnp.ones(len(boxes), bool),
        labels=labels,
        iou_threshold=iou_threshold,
        num_outputs=len(boxes),
    )


def kept_indices(boxes, scores, labels=None, *, iou_threshold):
    labels = np.zeros(len(boxes), np.int32) if labels is None else labels
    kept = nms(np.float32(boxes), np.float32(scores), labels, iou_threshold=iou_threshold)
    return np.asarray(kept.indices)[np.asarray(kept.valid)]


def assert_greedy(boxes, scores, labels=None, *, iou_threshold):
    labels = np.zeros(len(boxes), np.int32) if labels is None else labels
    boxes, scores = np.float32(boxes), np.float32(scores)
    expected = greedy(boxes, scores, np.ones(len(boxes), bool), labels, iou_threshold=iou_threshold)
    kept = kept_indices(boxes, scores, labels, iou_threshold=iou_threshold)
    np.testing.assert_array_equal(kept, expected)


def random_boxes(rng, count, *, extent=100):
    """The lower corner and both sides are anywhere below ``extent``."""
    boxes = rng.random((count, 4)) * extent
    boxes[:, 2:] += boxes[:, :2]
    return boxes


# ---- torchvision, test_ops.py: TestNMS ----------------------------------------------------------


@pytest.mark.parametrize("iou_threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(10))
def test_nms_ref(iou_threshold, seed):
    """The last box overlaps the first by hardly more than the threshold."""
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, 1000)
    overlap = iou_threshold + 1e-5
    boxes[-1] = boxes[0]
    boxes[-1, 2] += (boxes[0, 2] - boxes[0, 0]) * (1 - overlap) / overlap
    assert_greedy(boxes, rng.random(1000), iou_threshold=iou_threshold)


@pytest.mark.parametrize(
    ("boxes", "scores"), [((4,), (3,)), ((3, 5), (3,)), ((3, 4), (3, 2)), ((3, 4), (4,))]
)
def test_nms_input_errors(boxes, scores):
    """Here it is the tests' own type checks that refuse them."""
    with pytest.raises(TypeCheckError):
        nms(np.zeros(boxes), np.zeros(scores), np.zeros(scores, int), iou_threshold=0.5)


def test_nms_float16():
    """Ours are never of half precision, but may have been rounded to it."""
    boxes = [
        [285.3538, 185.5758, 1193.5110, 851.4551],
        [285.1472, 188.7374, 1192.4984, 851.0669],
        [279.2440, 197.9812, 1189.4746, 849.2019],
    ]
    scores = [0.6370, 0.7569, 0.3966]
    for dtype in (np.float32, np.float16):
        kept = kept_indices(np.array(boxes, dtype), np.array(scores, dtype), iou_threshold=0.2)
        np.testing.assert_array_equal(kept, [1])


@pytest.mark.parametrize("seed", range(10))
def test_batched_nms_implementations(seed):
    """Boxes that nearly cover each other, of four labels."""
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.random((1000, 2)), rng.random((1000, 2)) + 10], 1)
    assert_greedy(boxes, rng.random(1000), rng.integers(0, 4, 1000), iou_threshold=0.9)


def test_batched_nms_of_no_boxes():
    kept = kept_indices(np.zeros((0, 4)), np.zeros(0), iou_threshold=0.5)
    assert kept.shape == (0,)


# ---- torchvision, test_onnx.py: test_nms, test_batched_nms --------------------------------------


@pytest.mark.parametrize(("count", "num_labels"), [(5, 1), (100, 1), (100, 5)])
def test_few_boxes(count, num_labels):
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, count, extent=1)
    assert_greedy(
        boxes, rng.normal(size=count), rng.integers(0, num_labels, count), iou_threshold=0.5
    )


# ---- Detectron2, tests/layers/test_nms.py: the inputs of test_nms_scriptability -----------------


@pytest.mark.parametrize("iou_threshold", [0.2, 0.5, 0.8])
def test_many_classes(iou_threshold):
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, 2000)
    assert_greedy(boxes, rng.random(2000), rng.integers(0, 50, 2000), iou_threshold=iou_threshold)
