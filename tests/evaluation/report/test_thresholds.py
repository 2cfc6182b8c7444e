import dataclasses

import numpy as np
import pytest

from maskrcnn_jax.evaluation.report.statistics.image_quality import image_quality
from maskrcnn_jax.evaluation.report.statistics.operating_point import threshold_curves
from maskrcnn_jax.evaluation.report.statistics.score_histogram import score_histogram
from maskrcnn_jax.evaluation.report.statistics.size_counts import size_counts
from tests.evaluation.report.cases import findings_of, random_case, result, truth_of


@pytest.mark.parametrize("seed", range(3))
def test_curves_are_counts_at_each_threshold(seed):
    """Also among equal scores, which the random case has."""
    outcome = findings_of(*random_case(seed)).outcome
    curves = threshold_curves(outcome)
    assert len(curves.thresholds) < len(outcome.found.scores)
    best = 0.0
    for i, threshold in enumerate(curves.thresholds):
        shown = outcome.found.scores >= threshold
        right = (shown & outcome.found.right).sum()
        assert curves.precision[i] == right / shown.sum()
        assert curves.recall[i] == right / len(outcome.objects.labels)
        best = max(best, 2 * right / (shown.sum() + len(outcome.objects.labels)))
    assert curves.f1.max() == pytest.approx(best)
    at_best = curves.f1[curves.places(np.array(curves.best_threshold()))]
    assert at_best == curves.f1.max()


def test_places_of_thresholds_between_scores():
    truth = truth_of([(1, 0, (0, 0, 20, 20))])
    results = [result(1, 0, (0, 0, 20, 20), score) for score in (0.2, 0.6)]
    curves = threshold_curves(findings_of(truth, results).outcome)
    assert curves.places(np.array([0.1, 0.2, 0.3, 0.6, 0.7])).tolist() == [1, 1, 0, 0, -1]


def test_where_nothing_is_right_the_threshold_is_the_usual_one():
    truth = truth_of([(1, 0, (0, 0, 20, 20))])
    for results in ([], [result(1, 0, (50, 50, 9, 9), 0.9)]):
        assert findings_of(truth, results).threshold == 0.5
    assert findings_of(dataclasses.replace(truth, objects=()), results).threshold == 0.5


def test_quality_of_images():
    box = (0, 0, 20, 20)
    truth = truth_of([(1, 0, box), (2, 0, box), (2, 0, (50, 50, 20, 20))], num_images=4)
    results = [
        result(1, 0, box, 0.9),
        result(2, 0, (0, 0, 20, 16), 0.9),  # IoU 0.8
        result(2, 1, box, 0.7),
        result(3, 0, box, 0.7),
        result(4, 0, box, 0.1),
    ]
    outcome = findings_of(truth, results).outcome
    quality = image_quality(outcome, threshold=0.5)
    np.testing.assert_allclose(quality.quality, [1, 0.8 / 2, 0, np.nan])
    assert quality.ranking().tolist() == [2, 1, 0]  # the last has nothing, and no rank
    assert quality.missed.tolist() == [0, 1, 0, 0]
    assert image_quality(outcome, threshold=0.05).wrong.tolist() == [0, 1, 1, 1]


def test_of_equally_bad_images_that_with_more_mistakes_is_worse():
    boxes = [(30 * i, 0, 20, 20) for i in range(3)]
    truth = truth_of([(1, 0, boxes[0]), *((2, 0, box) for box in boxes)], num_images=2)
    quality = image_quality(findings_of(truth, []).outcome, threshold=0.5)
    assert quality.ranking().tolist() == [1, 0]
    perfect = [result(o.image_id, 0, o.box, 0.9) for o in truth.objects]
    quality = image_quality(findings_of(truth, perfect).outcome, threshold=0.5)
    assert quality.ranking().tolist() == [0, 1]  # the best found more


def test_sizes():
    sides = [10, 40, 40, 70]
    truth = truth_of([(i, 0, (0, 0, side, side)) for i, side in enumerate(sides, 1)], num_images=4)
    results = [result(2, 0, (0, 0, 40, 40), 0.9), result(4, 0, (0, 0, 70, 70), 0.2)]
    counts = size_counts(findings_of(truth, results).outcome, threshold=0.5)
    assert [(item.low, item.high, item.objects, item.found) for item in counts] == [
        (0, 16, 1, 0),
        (16, 32, 0, 0),
        (32, 64, 2, 1),
        (64, 96, 1, 0),
    ]
    assert size_counts(findings_of(truth_of([]), []).outcome, threshold=0.5) == []


def test_histogram_counts_every_detection_also_beyond_probabilities():
    outcome = findings_of(*random_case(0)).outcome
    bins = score_histogram(outcome)
    assert bins.borders[[0, -1]].tolist() == [0, 1]
    assert bins.right.sum() == outcome.found.right.sum()
    assert (bins.right + bins.wrong).sum() == len(outcome.found.scores)
    truth, results = random_case(0)
    logits = [item | {"score": 20 * item["score"] - 10} for item in results]
    bins = score_histogram(findings_of(truth, logits).outcome)
    assert bins.borders[0] < -9
    assert (bins.right + bins.wrong).sum() == len(outcome.found.scores)
