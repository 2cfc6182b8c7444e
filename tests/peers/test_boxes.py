"""Boxes and the box coder: cases of torchvision's test_ops.py and test_onnx.py and Detectron2's
test_boxes.py and test_box2box_transform.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.data.records import Annotation, Category, Record
from maskrcnn_jax.evaluation.results import ImageDetections, annotated_objects, coco_records
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.roi.detections import decode_boxes

WHOLE_BOXES = [[0, 0, 100, 100], [0, 0, 50, 50], [200, 200, 300, 300], [0, 0, 25, 25]]
FLOAT_BOXES = [
    [285.3538, 185.5758, 1193.5110, 851.4551],
    [285.1472, 188.7374, 1192.4984, 851.0669],
    [279.2440, 197.9812, 1189.4746, 849.2019],
]
HALF_BOXES = [[2.825, 1.8625, 3.90, 4.85], [2.825, 4.875, 19.20, 5.10], [2.925, 1.80, 8.90, 4.90]]

iou = jax.jit(box_ops.iou)
encode = jax.jit(box_ops.encode, static_argnames="weights")
decode = jax.jit(box_ops.decode, static_argnames="weights")

# ---- torchvision, test_ops.py: TestBoxArea, TestBoxIou ----------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("boxes", "dtype", "expected", "tolerance"),
    [
        ([[0, 0, 100, 100], [0, 0, 0, 0]], "f4", [10000, 0], 1e-4),
        (FLOAT_BOXES, "f4", [604723.0806, 600965.4666, 592761.0085], 1e-4),
        (FLOAT_BOXES, "f8", [604723.0806, 600965.4666, 592761.0085], 1e-4),
        (HALF_BOXES, "f2", [3.2170, 3.7108, 18.5071], 0.01),
    ],
)
def test_area(boxes, dtype, expected, tolerance):
    areas = jax.jit(box_ops.area)(jnp.asarray(boxes, dtype))
    np.testing.assert_allclose(areas, np.array(expected, dtype), rtol=0, atol=tolerance)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("a", "b", "dtype", "expected", "tolerance"),
    [
        (
            WHOLE_BOXES,
            WHOLE_BOXES[:3],
            "f4",
            [[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1], [0.0625, 0.25, 0]],
            1e-4,
        ),
        *(
            (
                FLOAT_BOXES,
                FLOAT_BOXES,
                dtype,
                [[1, 0.9933, 0.9673], [0.9933, 1, 0.9737], [0.9673, 0.9737, 1]],
                1e-3,
            )
            for dtype in ("f4", "f8")
        ),
    ],
)
def test_iou(a, b, dtype, expected, tolerance):
    overlaps = iou(jnp.asarray(a, dtype), jnp.asarray(b, dtype))
    np.testing.assert_allclose(overlaps, expected, rtol=0, atol=tolerance)


def test_iou_cartesian():
    """All pairs at once are the pairs one by one."""
    rng = np.random.default_rng(0)
    boxes = rng.random((12, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    a, b = boxes[:5], boxes[5:]
    one_by_one = [[iou(x[None], y[None])[0, 0] for y in b] for x in a]
    np.testing.assert_allclose(iou(a, b), one_by_one, rtol=1e-6)


# ---- torchvision, test_onnx.py: test_clip_boxes_to_image ----------------------------------------


@pytest.mark.parametrize(("height", "width"), [(200, 300), (300, 400)])
def test_clip(height, width):
    boxes = np.random.default_rng(0).normal(size=(5, 4)) * 500
    boxes[:, 2:] += boxes[:, :2]
    boxes = boxes.astype(np.float32)
    clipped = jax.jit(box_ops.clip)(boxes, height, width)
    np.testing.assert_array_equal(clipped[:, 0::2], boxes[:, 0::2].clip(0, width))
    np.testing.assert_array_equal(clipped[:, 1::2], boxes[:, 1::2].clip(0, height))


# ---- Detectron2, tests/structures/test_boxes.py: TestBoxIOU -------------------------------------

UNIT_BOXES = [[0.0, 0, 1, 1], [0.0, 0, 1, 1]]
OTHER_BOXES = [
    [0.0, 0.0, 1.0, 1.0],
    [0.0, 0.0, 0.5, 1.0],
    [0.0, 0.0, 1.0, 0.5],
    [0.0, 0.0, 0.5, 0.5],
    [0.5, 0.5, 1.0, 1.0],
    [0.5, 0.5, 1.5, 1.5],
]


def test_pairwise_iou():
    overlaps = iou(jnp.array(UNIT_BOXES), jnp.array(OTHER_BOXES))
    expected = [1.0, 0.5, 0.5, 0.25, 0.25, 0.25 / (2 - 0.25)]
    np.testing.assert_allclose(overlaps, [expected, expected], rtol=1e-5)


def test_pairwise_ioa():
    """Intersection over the area of the second box."""
    a, b = jnp.array(UNIT_BOXES), jnp.array(OTHER_BOXES)
    share = jax.jit(lambda a, b: box_ops.intersection(a, b) / box_ops.area(b)[None])(a, b)
    expected = [1.0, 1.0, 1.0, 1.0, 1.0, 0.25]
    np.testing.assert_allclose(share, [expected, expected], rtol=1e-5)


# ---- both: conversion from corners to COCO's XYWH and back ---------------------------------------


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ([0, 0, 100, 100], [0, 0, 100, 100]),  # torchvision, test_ops.py: TestBoxConvert
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([10, 15, 30, 35], [10, 15, 20, 20]),
        ([23, 35, 93, 95], [23, 35, 70, 60]),
        ([5, 5, 10, 10], [5, 5, 5, 5]),  # Detectron2, test_boxes.py: TestBoxMode
        ([1, 1, 2, 3], [1, 1, 1, 2]),
    ],
)
def test_corners_to_xywh_and_back(corners, expected):
    found = ImageDetections(
        boxes=np.array([corners], float),
        scores=np.ones(1),
        mask_scores=np.ones(1),
        labels=np.zeros(1, int),
        segmentations=None,
    )
    (record,) = coco_records(found, image_id=1, categories=[Category(id=1, name="thing")])
    assert record["bbox"] == expected
    annotation = Annotation(
        id=1, label=0, box=tuple(expected), area=0, is_crowd=False, segmentation=[[0.0] * 6]
    )
    image = Record(
        image_id=1, file_name="", image=b"", height=9, width=9, annotations=(annotation,)
    )
    np.testing.assert_array_equal(annotated_objects(image).boxes, [corners])


# ---- Detectron2, tests/modeling/test_box2box_transform.py ---------------------------------------

WEIGHTS = (5.0, 5.0, 10.0, 10.0)


def random_boxes(rng, count):
    """Of Detectron2's tests: corners and sides between 1 and 50."""
    boxes = np.maximum(rng.random((count, 4)) * 50, 1)
    boxes[:, 2:] += boxes[:, :2]
    return boxes.astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_reconstruction(seed):
    rng = np.random.default_rng(seed)
    anchors, boxes = random_boxes(rng, 10), random_boxes(rng, 10)
    deltas = encode(boxes, anchors, weights=WEIGHTS)
    again = decode(deltas, anchors, weights=WEIGHTS)
    np.testing.assert_allclose(again, boxes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [10, 5])
def test_apply_deltas_of_five_classes(count):
    """Normal numbers for boxes too, so that many of them are inside out."""
    rng = np.random.default_rng(count)
    deltas, boxes = (np.float32(rng.normal(size=(count, n))) for n in (20, 4))
    refine = functools.partial(decode_boxes, weights=WEIGHTS, limit_shrinking=False)
    refined = jax.jit(refine)(deltas, boxes, np.array([10, 10]))
    assert refined.shape == (count, 5, 4)
    for label in range(5):
        alone = decode(deltas[:, 4 * label : 4 * label + 4], boxes, weights=WEIGHTS)
        np.testing.assert_allclose(refined[:, label], np.clip(alone, 0, 10), rtol=1e-6)
