import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.evaluation.report.statistics.class_counts import class_counts
from maskrcnn_jax.evaluation.report.statistics.error_kinds import (
    Kind,
    find_errors,
    missed_objects,
)
from tests.evaluation.report.cases import case_for_tide, findings_of, one_of_each, random_case

DATA = Path(__file__).parents[1] / "data"
TIDE_NAMES = {
    Kind.CLASS: "Cls",
    Kind.LOCATION: "Loc",
    Kind.BOTH: "Both",
    Kind.DUPLICATE: "Dupe",
    Kind.BACKGROUND: "Bkg",
    Kind.MISSED: "Miss",
}


def slow_kind(outcome, d):
    """The definition, for one detection: its kind, and the object that is meant."""
    found, objects, pairs = outcome.found, outcome.objects, outcome.pairs
    if found.objects[d] >= 0:
        return -1, -1
    best = {True: (0.0, -1), False: (0.0, -1)}
    for place in np.flatnonzero(pairs.found == d):
        g = int(pairs.objects[place])
        own = bool(objects.labels[g] == found.labels[d])
        best[own] = max(best[own], (pairs.overlaps[place], g))
    (own_overlap, own), (other_overlap, other) = best[True], best[False]
    if 0.1 <= own_overlap < 0.5:
        return Kind.LOCATION, own
    if other_overlap >= 0.5:
        return Kind.CLASS, other
    if own_overlap >= 0.5:
        return Kind.DUPLICATE, -1
    return (Kind.BOTH if other_overlap >= 0.1 else Kind.BACKGROUND), -1


def test_one_of_each_kind():
    findings = findings_of(*one_of_each())
    by_record = dict(zip(findings.outcome.found.results, findings.errors.kinds, strict=True))
    assert [by_record[i] for i in range(6)] == [0, 1, 2, 3, 4, -1]
    missed = missed_objects(findings.outcome, findings.errors)
    assert missed.tolist() == [False, False, False, True]  # something points to dog and first fox


@pytest.mark.parametrize("seed", range(4))
def test_kinds_are_those_of_the_slow_definition(seed):
    outcome = findings_of(*random_case(seed)).outcome
    errors = find_errors(outcome)
    expected = [slow_kind(outcome, d) for d in range(len(outcome.found.scores))]
    assert list(zip(errors.kinds, errors.meant, strict=True)) == expected
    assert set(errors.kinds) == {-1, 0, 1, 2, 3, 4}


@pytest.mark.parametrize("seed", range(4))
def test_counts_and_gains_are_those_of_tide(seed):
    """What tests/parity/make_tide_golden.py wrote with tidecv."""
    golden = json.loads((DATA / "tide.json").read_text())[seed]
    findings = findings_of(*case_for_tide(seed))
    assert 100 * findings.scores["bbox"].summary["AP50"] == pytest.approx(golden["AP50"])
    numbers = Counter(findings.errors.kinds.tolist())
    numbers[Kind.MISSED] = int(missed_objects(findings.outcome, findings.errors).sum())
    for kind, name in TIDE_NAMES.items():
        theirs = golden["kinds"][name]
        assert numbers[kind] == theirs["number"], name
        assert 100 * findings.gains[kind] == pytest.approx(theirs["gain"], abs=0.02), name


def test_errors_below_the_threshold_point_to_nothing():
    findings = findings_of(*one_of_each())
    missed = missed_objects(findings.outcome, findings.errors, threshold=0.75)
    assert missed.tolist() == [False, False, True, True]
    missed = missed_objects(findings.outcome, findings.errors, threshold=0.95)
    assert missed.all()


def test_counts_of_classes_add_up():
    findings = findings_of(*random_case(1))
    outcome, errors = findings.outcome, findings.errors
    threshold = float(outcome.found.scores[5])  # which counts, too
    counts = class_counts(outcome, errors, threshold=threshold)
    shown = outcome.found.scores >= threshold
    np.testing.assert_array_equal(
        counts.detections, np.bincount(outcome.found.labels[shown], minlength=3)
    )
    assert counts.found.sum() == (outcome.found.right & shown).sum()
    expected = [np.count_nonzero(errors.kinds[shown] == kind) for kind in range(Kind.MISSED)]
    assert counts.errors.sum(axis=0)[: Kind.MISSED].tolist() == expected
    assert (
        counts.errors[:, Kind.MISSED].sum()
        == missed_objects(outcome, errors, threshold=threshold).sum()
    )
