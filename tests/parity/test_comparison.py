"""A difference is seen where there is one: a parity test that cannot fail proves nothing."""

import numpy as np
import pytest

from maskrcnn_jax.evaluation.results import ImageDetections
from tests.parity import comparison
from tests.parity.comparison import absolute, identical, relative, table, worst


def detections(**changes):
    rles = [{"counts": text} for text in changes.pop("counts", ["a", "b"])]
    arrays = {"boxes": np.ones((2, 4)), "scores": np.ones(2), "labels": np.arange(2)}
    return ImageDetections(**arrays | changes, mask_scores=np.ones(2), segmentations=rles)


def test_absolute_is_the_largest_distance():
    found = absolute("x", np.array([[1.0, 2.0], [3.0, 4.5]]), np.array([[1, 2], [3, 4]]), bar=0.5)
    assert (found.value, found.where, found.passes) == (0.5, "entry 1, 1", True)


@pytest.mark.parametrize("ours", [[1.0, np.nan], [1.0, np.inf], [1.0], [1.0, 2.0, 3.0]])
def test_absolute_lets_neither_nonsense_nor_other_shapes_pass(ours):
    assert not absolute("x", np.array(ours), np.array([1.0, 2.0]), bar=1e9).passes


def test_absolute_of_the_same_infinity_and_of_nothing():
    assert absolute("x", np.array([-np.inf]), np.array([-np.inf]), bar=0).passes
    assert absolute("x", np.zeros((0, 4)), np.zeros((0, 4)), bar=0).passes


def test_relative_is_in_units_of_the_largest():
    assert relative("x", np.array([9.0, 100.0]), np.array([10.0, 100.0]), bar=1).value == 0.01
    assert relative("x", np.zeros(3), np.zeros(3), bar=0).passes
    assert relative("x", np.array([1e-30]), np.zeros(1), bar=1).value == np.inf


def test_identical_counts_what_differs_or_is_missing():
    assert identical("x", "abc", "abc").passes
    assert identical("x", "abc", "adc").where == "first in entry 1"
    assert identical("x", "abcd", "abx").value == 2


def test_worst_names_the_largest():
    rows = {
        name: relative("", np.array([1.0 + error]), np.ones(1), bar=0.1)
        for name, error in {"a": 0.0, "b": 0.5, "c": 0.25}.items()
    }
    found = worst("all", rows)
    assert (found.quantity, found.value, found.where) == ("all", 0.5, "b entry 0")
    rows["d"] = relative("", np.array([np.nan]), np.ones(1), bar=0.1)
    assert worst("all", rows).where.startswith("d")
    assert not worst("all", {}).passes


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"boxes": np.ones((2, 4)) + 2e-8}, "boxes in resized (px)"),
        ({"scores": np.array([1.0, 1 - 2e-10])}, "scores in resized"),
        ({"labels": np.array([1, 0])}, "classes in resized"),
        ({"counts": ["a", "c"]}, "pasted masks in resized"),
    ],
)
def test_detections_have_a_bar_for_each_part(change, failing):
    rows = comparison.compare_detections(detections(**change), detections(), frame="resized")
    assert [row.quantity for row in rows if not row.passes] == [failing]
    assert failing in table(rows)
    assert table(rows).count("FAIL") == 1


def test_losses_have_to_be_the_same_ones():
    rows = comparison.compare_losses({"a": 1.0, "b": 2.0}, {"a": 1.0 + 1e-8, "c": 2.0})
    assert [row.passes for row in rows] == [False, False]
    assert rows[0].where == "b, c"


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"a": np.arange(12.0) + 1e-4}, [1, 2]),
        ({"a": np.append(np.arange(11.0), 12.0)}, [1]),  # behind the first entries
        ({"a": np.append([1e-4], np.arange(1, 12.0))}, [2]),  # lost in the norm
        ({"c": np.ones(3)}, [0]),
    ],
)
def test_gradients_have_norms_and_first_entries(change, failing):
    gradients = {"a": np.arange(12.0), "b": np.ones((2, 2))}
    rows = comparison.compare_gradients(
        gradients | change,
        norms={name: np.asarray(np.linalg.norm(x)) for name, x in gradients.items()},
        heads={name: x.ravel()[:8] for name, x in gradients.items()},
    )
    assert [index for index, row in enumerate(rows) if not row.passes] == failing
