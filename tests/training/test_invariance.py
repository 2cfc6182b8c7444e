"""What the division of a batch must not change; all divisions, and micro-batches: tests/slow."""

import numpy as np
import pytest

from tests.training.invariance import Case, assert_close, outcomes

WHOLE = Case()
DIVIDED = Case(devices=8, shard_state=True, places=2)  # of 6, for 0 to 5 objects
PREDICTED = Case(predicts=True, x64=False)
PREDICTED_ALONE = Case(predicts=True, x64=False, devices=8)  # one image on each device


@pytest.fixture(scope="module")
def found():
    cases = [WHOLE, DIVIDED, PREDICTED, PREDICTED_ALONE]
    return dict(zip(cases, outcomes(cases), strict=True))


def test_devices_portions_and_a_divided_state_change_nothing_but_rounding(found):
    """Random choices, clipping by the gradient's norm, momentum and average included."""
    assert_close(found[DIVIDED]["numbers"], found[WHOLE]["numbers"], tolerance=1e-12)


def test_every_device_holds_its_part_of_a_divided_state(found):
    [whole], parts = found[WHOLE]["state bytes"], found[DIVIDED]["state bytes"]
    assert len(parts) == 8
    assert set(parts) == {parts[0]}
    assert whole / 8 <= parts[0] < whole / 7


@pytest.mark.parametrize("case", [WHOLE, DIVIDED], ids=["whole", "divided"])
def test_the_memory_of_the_old_state_is_reused(found, case):
    assert found[case]["reused bytes"] >= found[case]["state bytes"][0]


def test_devices_gather_a_divided_state_and_exchange_nothing_for_predictions(found):
    sums = {"all-reduce", "reduce-scatter"}
    assert "all-gather" in found[DIVIDED]["collectives"] <= {"all-gather", *sums}
    assert found[PREDICTED_ALONE]["collectives"] == set()


def test_detections_do_not_depend_on_the_images_beside(found):
    """Convolutions of one image and of eight round differently, and nothing else does."""
    alone, together = (found[case]["numbers"] for case in (PREDICTED_ALONE, PREDICTED))
    assert together["valid"].any(axis=1).all()
    for name in ("valid", "labels"):
        np.testing.assert_array_equal(alone[name], together[name])
    for name, tolerance in (("scores", 1e-5), ("masks", 1e-5), ("boxes", 1e-3)):  # boxes: pixels
        np.testing.assert_allclose(alone[name], together[name], rtol=0, atol=tolerance)
