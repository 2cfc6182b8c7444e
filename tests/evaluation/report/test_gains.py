import dataclasses
import math

import numpy as np
import pytest

from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.report.statistics.error_kinds import Kind
from maskrcnn_jax.evaluation.report.statistics.gains import (
    gains,
    mean_average_precision,
    mended,
    ranking_of,
)
from tests.evaluation.report.cases import findings_of, one_of_each, random_case, result, truth_of


@pytest.mark.parametrize("seed", range(3))
def test_with_nothing_mended_it_is_the_ap_of_coco(seed):
    truth, results = random_case(seed)
    findings = findings_of(truth, results)
    expected = findings.scores["bbox"].summary["AP50"]
    assert mean_average_precision(ranking_of(findings.outcome)) == pytest.approx(expected, abs=1e-9)


def test_mending_an_error_is_as_if_the_detector_had_not_made_it():
    """Written down by hand for each kind, and scored by COCO's own evaluation."""
    truth, results = one_of_each()
    findings = findings_of(truth, results)
    base = findings.scores["bbox"].summary["AP50"]
    dog, fox = truth.objects[1].box, truth.objects[2].box
    without = {kind: [r for i, r in enumerate(results) if i != kind] for kind in range(5)}
    corrected = {
        Kind.CLASS: [*without[0], result(1, 1, dog, 0.8)],
        Kind.LOCATION: [*without[1], result(1, 2, fox, 0.7)],
        Kind.BOTH: without[2],
        Kind.DUPLICATE: without[3],
        Kind.BACKGROUND: without[4],
    }
    for kind, better in corrected.items():
        expected = evaluate(truth, better, iou_types=("bbox",))["bbox"].summary["AP50"] - base
        assert findings.gains[kind] == pytest.approx(max(expected, 0), abs=1e-9), kind
    fewer = dataclasses.replace(truth, objects=truth.objects[:3])
    expected = evaluate(fewer, results, iou_types=("bbox",))["bbox"].summary["AP50"] - base
    assert findings.gains[Kind.MISSED] == pytest.approx(expected, abs=1e-9)


def test_of_several_that_mean_the_same_object_only_the_best_is_put_right():
    box = (0, 0, 20, 20)
    truth = truth_of([(1, 0, box), (2, 0, box)], num_images=2)
    near = [result(1, 0, (10, 0, 20, 20), score) for score in (0.5, 0.9, 0.7)]
    findings = findings_of(truth, [*near, result(2, 0, box, 0.8), result(2, 0, (9, 0, 20, 20), 1)])
    ranking = mended(findings.outcome, findings.errors, Kind.LOCATION)
    assert sorted(ranking.scores.tolist()) == [0.8, 0.9]  # what means a found object is gone, too
    assert ranking.right.all()
    assert mean_average_precision(ranking) == pytest.approx(1)


def test_the_best_one_may_make_another_kind_of_error():
    """As in TIDE: then mending the worse one puts nothing right."""
    truth = truth_of([(1, 0, (0, 0, 20, 20)), (1, 1, (50, 50, 20, 20))])
    results = [result(1, 1, (0, 0, 20, 20), 0.9), result(1, 0, (10, 0, 20, 20), 0.8)]
    findings = findings_of(truth, results)
    assert not mended(findings.outcome, findings.errors, Kind.LOCATION).right.any()
    assert mended(findings.outcome, findings.errors, Kind.CLASS).right.sum() == 1


def test_perfect_results_gain_nothing_and_without_objects_there_is_nothing_to_gain():
    truth, _ = one_of_each()
    perfect = [result(1, o.category_id // 10, o.box, 0.5) for o in truth.objects]
    findings = findings_of(truth, perfect)
    assert set(findings.gains.values()) == {0.0}
    nothing = findings_of(dataclasses.replace(truth, objects=()), perfect)
    assert all(map(math.isnan, nothing.gains.values()))


def test_without_detections_all_is_missed():
    truth, _ = one_of_each()
    findings = findings_of(truth, [])
    assert gains(findings.outcome, findings.errors)[Kind.CLASS] == 0
    assert mended(findings.outcome, findings.errors, Kind.MISSED).num_objects.sum() == 0
    assert np.isnan(mean_average_precision(mended(findings.outcome, findings.errors, Kind.MISSED)))
