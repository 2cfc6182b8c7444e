import dataclasses

import numpy as np
import pytest

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.results import ImageDetections
from tests.parity.photos import compare_detections, matches, read_photos

SIZE = (60, 80)
BOXES = np.array([[5.0, 5, 45, 35], [20, 10, 70, 55], [3, 40, 13, 50]])
EMPTY = {"size": list(SIZE), "counts": [SIZE[0] * SIZE[1]]}


def mask_of(box, *, grown_by=0):
    x1, y1, x2, y2 = box
    polygon = [x1, y1, x2, y1, x2, y2 + grown_by, x1, y2 + grown_by]
    return rle.compressed([polygon], height=SIZE[0], width=SIZE[1])


FOUND = ImageDetections(
    boxes=BOXES,
    scores=np.array([0.9, 0.5, 0.06]),
    mask_scores=np.array([0.9, 0.5, 0.06]),
    labels=np.array([3, 3, 0]),
    segmentations=[
        mask_of(BOXES[0]),
        mask_of(BOXES[1]),
        rle.compressed(EMPTY, height=SIZE[0], width=SIZE[1]),
    ],
)


def with_first(**changes):
    """``FOUND`` with another first detection."""
    changed = {}
    for name, value in changes.items():
        values = list(getattr(FOUND, name))
        values[0] = value
        changed[name] = values if name == "segmentations" else np.array(values)
    return dataclasses.replace(FOUND, **changed)


def reversed_order(found):
    return ImageDetections(
        boxes=found.boxes[::-1],
        scores=found.scores[::-1],
        mask_scores=found.mask_scores[::-1],
        labels=found.labels[::-1],
        segmentations=(found.segmentations or [])[::-1],
    )


def test_equal_detections_match_in_any_order():
    pairs = [(m.ours, m.theirs) for m in matches(FOUND, reversed_order(FOUND))]
    assert pairs == [(0, 2), (1, 1), (2, 0)]
    assert all(item.value == 0 for item in compare_detections([FOUND], [FOUND]))


@pytest.mark.parametrize(
    ("far", "near"),
    [
        ({"labels": 2}, {"labels": 3}),
        ({"scores": 0.9011}, {"scores": 0.9009}),
        ({"boxes": [5, 5, 45, 35.4]}, {"boxes": [5, 5, 45, 35.2]}),
        ({"segmentations": mask_of(BOXES[0], grown_by=1)}, {}),
    ],
)
def test_each_tolerance_decides(far, near):
    assert [m.ours for m in matches(FOUND, with_first(**near))] == [0, 1, 2]
    assert [m.ours for m in matches(FOUND, with_first(**far))] == [1, 2]


def test_each_side_is_counted_for_itself():
    fewer = ImageDetections(
        boxes=FOUND.boxes[1:],
        scores=FOUND.scores[1:],
        mask_scores=FOUND.mask_scores[1:],
        labels=FOUND.labels[1:],
        segmentations=(FOUND.segmentations or [])[1:],
    )
    ours, theirs, *_ = compare_detections([FOUND, FOUND], [FOUND, fewer])
    assert (ours.where, theirs.where) == ("1 of 6", "0 of 5")
    np.testing.assert_allclose(ours.value, 1 / 6)
    assert theirs.passes
    assert not ours.passes


def test_no_detections_at_all_are_no_success():
    none = ImageDetections(
        boxes=np.zeros((0, 4)),
        scores=np.zeros(0),
        mask_scores=np.zeros(0),
        labels=np.zeros(0, int),
        segmentations=[],
    )
    assert not any(item.passes for item in compare_detections([none], [none]))


def test_photographs_are_scaled_to_few_sizes(shared):
    photos = read_photos(shared / "data/coco2017_mini/val2017", count=5)
    assert len(photos) == 5
    for photo in photos.values():
        assert photo.dtype == np.uint8
        assert 500 < min(photo.shape[:2]) <= 512
        assert 672 < max(photo.shape[:2]) <= 768
