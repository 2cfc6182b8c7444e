import numpy as np
import pycocotools.mask
import pytest

from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.report.statistics.outcome import NEAR_IOU, gather
from tests.evaluation.report.cases import (
    findings_of,
    random_case,
    result,
    truth_of,
    with_masks,
)


@pytest.mark.parametrize("shape", ["bbox", "segmentation"])
def test_pairs_are_all_overlaps_of_an_image_with_the_values_of_coco(shape):
    truth, results = random_case(0)
    results = with_masks(results)
    kind = {"bbox": "bbox", "segmentation": "segm"}[shape]
    matches = evaluate(truth, results, iou_types=(kind,))[kind].evidence.matches
    outcome = gather(truth, results, matches, shape=shape)
    expected = {}
    for d, record in enumerate(outcome.found.results):
        for g, index in enumerate(outcome.objects.indices):
            theirs, true = results[record], truth.objects[index]
            if theirs["image_id"] == true.image_id:
                own = list(true.box) if shape == "bbox" else true.segmentation
                overlap = pycocotools.mask.iou([theirs[shape]], [own], [0])[0, 0]
                if overlap >= NEAR_IOU:
                    expected[d, g] = overlap
    pairs = outcome.pairs
    found = zip(pairs.found.tolist(), pairs.objects.tolist(), strict=True)
    assert dict(zip(found, pairs.overlaps, strict=True)) == expected
    assert len(expected) > 50


def test_crowds_and_what_lies_in_them_take_no_part():
    truth = truth_of([(1, 0, (0, 0, 50, 50), True), (1, 1, (60, 60, 20, 20))])
    results = [result(1, 0, (5, 5, 9, 9), 0.9), result(1, 1, (60, 60, 20, 20), 0.8)]
    outcome = findings_of(truth, results).outcome
    assert outcome.objects.indices.tolist() == [1]
    assert outcome.found.results.tolist() == [1]
    assert outcome.found.objects.tolist() == [0]


def test_detections_beyond_the_hundred_of_an_image_and_category_take_no_part():
    truth = truth_of([(1, 0, (0, 0, 50, 50))])
    results = [result(1, label, (0, 0, 9, 9), i / 200) for label in (0, 1) for i in range(120)]
    found = findings_of(truth, results).outcome.found
    assert np.bincount(found.labels).tolist() == [100, 100]
    assert found.scores.min() == 20 / 200


def test_masks_are_ranked_by_their_own_scores():
    truth = truth_of([(1, 0, (0, 0, 50, 50))])
    results = with_masks([result(1, 0, (0, 0, 50, 50), 0.9, mask_score=0.3)])
    assert findings_of(truth, results).outcome.found.scores.tolist() == [0.9]
    masks = findings_of(truth, results, iou_types=("bbox", "segm"))
    assert masks.outcome.found.scores.tolist() == [0.3]
