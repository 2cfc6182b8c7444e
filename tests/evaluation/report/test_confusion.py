import numpy as np
import pytest

from maskrcnn_jax.evaluation.report.statistics.confusion import (
    condensed,
    confusion_matrix,
    most_mistaken,
    one_to_one,
)
from tests.evaluation.report.cases import (
    findings_of,
    one_of_each,
    random_case,
    result,
    truth_of,
)


def slow_one_to_one(outcome, detections, objects):
    pairs, taken = outcome.pairs, set()
    keys = (pairs.objects, pairs.found, -pairs.overlaps)
    for place in np.lexsort(keys):
        d, g = int(pairs.found[place]), int(pairs.objects[place])
        free = detections[d] and objects[g] and not {("d", d), ("g", g)} & taken
        if free and pairs.overlaps[place] >= 0.5:
            taken |= {("d", d), ("g", g)}
            yield d, g


@pytest.mark.parametrize("seed", range(4))
def test_rounds_give_what_going_through_the_pairs_gives(seed):
    outcome = findings_of(*random_case(seed)).outcome
    rng = np.random.default_rng(seed)
    detections = rng.uniform(size=len(outcome.found.scores)) < 0.8
    objects = rng.uniform(size=len(outcome.objects.labels)) < 0.9
    found = zip(*one_to_one(outcome, detections, objects), strict=True)
    expected = set(slow_one_to_one(outcome, detections, objects))
    assert {(int(d), int(g)) for d, g in found} == expected
    assert len(expected) > 5


def test_one_of_each():
    outcome = findings_of(*one_of_each()).outcome
    matrix = confusion_matrix(outcome, threshold=0)
    assert matrix.tolist() == [
        [1, 0, 0, 0],  # the cat was found
        [1, 0, 0, 0],  # the dog was taken for a cat
        [0, 0, 0, 2],  # both foxes were missed: 1/3 is no overlap
        [1, 2, 1, 0],  # the duplicate cat, two dogs and a fox where there is nothing
    ]
    assert confusion_matrix(outcome, threshold=0.85).tolist()[1] == [0, 0, 0, 1]


def test_what_coco_finds_comes_before_a_larger_overlap_with_another_class():
    truth = truth_of([(1, 0, (0, 0, 20, 20))])
    results = [result(1, 0, (2, 0, 20, 20), 0.5), result(1, 1, (0, 0, 20, 20), 0.9)]
    matrix = confusion_matrix(findings_of(truth, results).outcome, threshold=0)
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("threshold", [0.0, 0.4, 2.0])
def test_every_object_and_every_detection_is_counted_once(threshold):
    outcome = findings_of(*random_case(2)).outcome
    matrix = confusion_matrix(outcome, threshold=threshold)
    np.testing.assert_array_equal(matrix[:-1].sum(axis=1), outcome.num_objects)
    shown = outcome.found.scores >= threshold
    labels = np.bincount(outcome.found.labels[shown], minlength=3)
    np.testing.assert_array_equal(matrix[:, :-1].sum(axis=0), labels)
    found = shown & outcome.found.right
    assert np.trace(matrix) == found.sum()


def test_the_most_frequent_mistake_comes_first():
    matrix = np.array([[5, 1, 0, 0], [2, 0, 0, 0], [0, 1, 3, 9], [9, 9, 9, 0]])
    found = [(item.true, item.taken_for, item.count) for item in most_mistaken(matrix)]
    assert found == [(1, 0, 2), (0, 1, 1), (2, 1, 1)]  # of one each, 1 of 6 before 1 of 13
    assert next(most_mistaken(matrix)).share == 1


def test_what_is_left_out_of_a_condensed_matrix_is_together_before_nothing():
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 5, (6, 6))
    matrix[-1, -1] = 0
    matrix[3, :3] += 100
    matrix[3, 0] += 200
    chosen, small = condensed(matrix, num=2)
    assert chosen == [0, 3]
    assert small.shape == (4, 4)
    assert small.sum() == matrix.sum()
    assert small[1, 0] == matrix[3, 0]
    assert small[2, 3] == matrix[[1, 2, 4], -1].sum()
    everything, same = condensed(matrix, num=9)
    assert everything == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(same, matrix)


def test_categories_that_do_not_occur_are_not_chosen():
    matrix = np.zeros((4, 4), int)
    matrix[1, 1] = 7
    chosen, small = condensed(matrix, num=9)
    assert chosen == [1]
    assert small.tolist() == [[7, 0], [0, 0]]
    assert condensed(np.zeros((4, 4), int), num=9)[0] == []
