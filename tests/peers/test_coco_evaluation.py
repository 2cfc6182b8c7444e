"""COCO evaluation: the cases of Detectron2's test_coco_evaluation.py.

There a second implementation is held against pycocotools; so is ours, which refuses malformed files
with a message of its own where pycocotools raises whatever comes.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth
from maskrcnn_jax.evaluation.results_file import read_results, scorable_types


@pytest.fixture
def content():
    """Two people to find in one of two images of COCO's val2017, and three detections."""
    return json.loads(Path(__file__).with_name("coco_evaluation.json").read_text())


@pytest.fixture
def files(content, tmp_path):
    """Writes annotations and results, and returns both paths."""

    def write():
        detections = content.pop("detections")
        paths = tmp_path / "truth.json", tmp_path / "results.json"
        for path, value in zip(paths, (content, detections), strict=True):
            path.write_text(json.dumps(value))
        return paths

    return write


def omit(records, key):
    for record in records:
        del record[key]


def by_pycocotools(truth_path, results_path, iou_type):
    """The 12 numbers. Masks come without boxes, as Detectron2 hands them over."""
    results = json.loads(results_path.read_text())
    for result in results if iou_type == "segm" else ():
        result.pop("bbox", None)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(truth_path))
        evaluator = COCOeval(truth, truth.loadRes(results) if results else COCO(), iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return np.where(evaluator.stats < 0, np.nan, evaluator.stats)


def by_us(truth_path, results_path):
    truth = read_truth(truth_path)
    results = read_results(results_path, truth)
    iou_types = [kind for kind in scorable_types(results) if kind != "boundary"]
    scores = evaluate(truth, results, iou_types=iou_types)
    return {iou_type: list(item.summary.values()) for iou_type, item in scores.items()}


def assert_like_pycocotools(paths, iou_types=("bbox", "segm")):
    scores = by_us(*paths)
    assert set(scores) == set(iou_types)
    for iou_type, ours in scores.items():
        np.testing.assert_array_equal(ours, by_pycocotools(*paths, iou_type))


def test_full(files):
    assert_like_pycocotools(files())


@pytest.mark.parametrize("empty", ["detections", "annotations"])
def test_empty(content, files, empty):
    content[empty] = []
    assert_like_pycocotools(files())


def test_annotations_without_iscrowd(content, files):
    """pycocotools raises a KeyError; here they are no crowds."""
    paths = files()
    expected = by_us(*paths)
    omit(content["annotations"], "iscrowd")
    paths[0].write_text(json.dumps(content))
    np.testing.assert_equal(by_us(*paths), expected)


@pytest.mark.parametrize("key", ["id", "image_id", "category_id", "area", "bbox", "segmentation"])
def test_fields_that_annotations_need(content, files, key):
    """Also ``id``, ``area`` and the other shape, without which pycocotools finds some numbers."""
    omit(content["annotations"], key)
    with pytest.raises(InputError, match=key):
        by_us(*files())


@pytest.mark.parametrize("key", ["image_id", "category_id", "score"])
def test_fields_that_results_need(content, files, key):
    omit(content["detections"], key)
    with pytest.raises(InputError, match=key):
        by_us(*files())


def test_results_without_masks(content, files):
    omit(content["detections"], "segmentation")
    assert_like_pycocotools(files(), iou_types=("bbox",))


def test_results_without_boxes(content, files):
    """Boxes are the extents of the masks."""
    omit(content["detections"], "bbox")
    assert_like_pycocotools(files())


@pytest.mark.parametrize("category", [11, 80])
def test_unknown_category(content, files, category):
    content["detections"][1]["category_id"] = category
    with pytest.raises(InputError, match="category"):
        by_us(*files())
