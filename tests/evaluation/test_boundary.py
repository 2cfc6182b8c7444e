"""Boundaries and their overlaps against loops over pixels of the whole image."""

import math

import numpy as np
import pycocotools.mask
import pytest
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.boundary import boundary, boundary_iou
from maskrcnn_jax.evaluation.coco import evaluate
from tests.evaluation import plain
from tests.evaluation.conftest import HEIGHT, WIDTH


def encoded(mask):
    found = pycocotools.mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


def slow_boundary(mask):
    """Pixels of the mask with something else among their neighbours up to the distance."""
    height, width = mask.shape
    distance = max(1, round(0.02 * math.hypot(height, width)))
    padded = np.pad(mask, distance)
    steps = range(2 * distance + 1)
    neighbours = [padded[y : y + height, x : x + width] for y in steps for x in steps]
    return mask & ~np.all(neighbours, axis=0)


def slow_iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def random_mask(rng, size):
    """Some rectangles, which may touch the border of the image and have holes between them."""
    mask = np.zeros(size, bool)
    for _ in range(rng.integers(1, 5)):
        y, x = (rng.integers(0, side) for side in size)
        mask[y : y + rng.integers(1, size[0]), x : x + rng.integers(1, size[1])] ^= True
    return mask


def in_image(found, size):
    whole = np.zeros(size, bool)
    height, width = found.pixels.shape
    whole[found.y : found.y + height, found.x : found.x + width] = found.pixels
    return whole


# Distances of 1 (of a diagonal below 1.5 / 0.02 and at the least), 2 and 4 pixels.
@pytest.mark.parametrize("size", [(9, 7), (40, 60), (60, 80), (HEIGHT, WIDTH)])
def test_boundaries_and_their_overlaps_equal_the_slow_loop(size):
    rng = np.random.default_rng(0)
    for _ in range(20):
        masks = [random_mask(rng, size) for _ in range(2)]
        found = [boundary(encoded(mask)) for mask in masks]
        expected = [slow_boundary(mask) for mask in masks]
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(in_image(ours, size), theirs)
        assert boundary_iou(*found) == slow_iou(*expected)


def test_an_empty_mask_has_no_boundary():
    nothing, some = np.zeros((2, 40, 60), bool)
    some[3:9, 3:9] = True
    assert boundary_iou(boundary(encoded(nothing)), boundary(encoded(nothing))) == 0
    assert boundary_iou(boundary(encoded(nothing)), boundary(encoded(some))) == 0
    assert boundary_iou(boundary(encoded(some)), boundary(encoded(some))) == 1


def roughly(truth, *, seed):
    """Results with shifted, cut and swollen masks, some of them in crowds."""
    rng = np.random.default_rng(seed)
    for item in [item for item in truth.objects for _ in range(4)]:
        mask = np.roll(rle.decode(item.segmentation), rng.integers(-2, 3, 2), axis=(0, 1))
        y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
        mask[y : y + 8, x : x + 8] ^= True
        yield {
            "image_id": item.image_id,
            "category_id": item.category_id,
            "score": float(rng.uniform()),
            "segmentation": encoded(mask),
        }


class SlowEvaluator(COCOeval):
    """Every pair of a detection and an object, each with its whole image."""

    def computeIoU(self, imgId, catId):  # noqa: N803
        overlaps = np.array(super().computeIoU(imgId, catId))
        found = sorted(self._dts[imgId, catId], key=lambda item: -item["score"])
        for i, j in np.ndindex(overlaps.shape if overlaps.ndim == 2 else (0, 0)):
            object_ = self._gts[imgId, catId][j]
            if not object_["iscrowd"]:
                masks = [rle.decode(item["segmentation"]) for item in (found[i], object_)]
                overlap = slow_iou(*map(slow_boundary, masks))
                overlaps[i, j] = min(slow_iou(*masks), overlap)
        return overlaps


@pytest.mark.parametrize("seed", [0, 1])
def test_all_numbers_equal_the_slow_evaluation(truth, seed):
    results = list(roughly(truth, seed=seed))
    found = evaluate(truth, results, iou_types=("segm", "boundary"))
    expected = plain.evaluated(truth, results, "segm", SlowEvaluator)
    ours = found["boundary"]
    np.testing.assert_array_equal(list(ours.summary.values()), plain.summary(expected))
    np.testing.assert_array_equal(ours.evidence.precision, plain.precision(expected))
    assert 0.1 < ours.summary["AP"] < found["segm"].summary["AP"] - 0.05


def test_an_outline_that_is_off_counts_more_than_in_the_overlap_of_masks(truth, perfect):
    """Of the largest object, two pixels around are missing."""
    x, y, width, height = (int(side) for side in truth.objects[3].box)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y + 2 : y + height - 2, x + 2 : x + width - 2] = True
    perfect[3]["segmentation"] = encoded(mask)
    scores = evaluate(truth, perfect, iou_types=("segm", "boundary"))
    assert scores["segm"].summary["APl"] == pytest.approx(0.9)  # IoU .92: nine of ten thresholds
    assert scores["boundary"].summary["APl"] == 0  # the rings, 4 wide, share a third


def test_perfect_masks_score_one_and_crowds_absorb(truth, perfect):
    in_crowd = perfect[3] | {"score": 0.99, "segmentation": truth.objects[4].segmentation}
    scores = evaluate(truth, [*perfect, in_crowd], iou_types=("boundary",))["boundary"]
    assert scores.summary["AP"] == pytest.approx(1)
    assert scores.mean_matched_iou is None
