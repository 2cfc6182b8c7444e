import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed import inputs
from benchmarks.speed.check import slower
from benchmarks.speed.comparison import Outcome
from benchmarks.speed.contestant import Contestant, Times
from benchmarks.speed.report import table
from benchmarks.speed.works import OURS, Work, works
from maskrcnn_jax.errors import InputError

WORK = Work("group", "what it is", "kind", {"size": (2, 3)}, peers=("torchvision",), ratio=2)


def outcome(ours, theirs=None, *, work=WORK):
    times = {OURS: Times(seconds=ours, peak_memory=10**9)}
    if theirs is not None:
        times["torchvision"] = Times(seconds=theirs, peak_memory=2 * 10**9)
    return Outcome(work=work, times=times)


def test_a_contestant_prepares_and_works_until_it_fails(capfd):
    module = "tests.benchmarks.counting"
    with Contestant(Path(sys.executable), module, work="count", options={"start": 0}) as one:
        assert one.preparation_seconds > 0
        found = one.run(times=3)
        assert len(found.seconds) == 3
        assert found.peak_memory > 2**20
        with pytest.raises(InputError, match="counting count ended with status 1; see above"):
            one.run(times=2)
    assert "ValueError: too many" in capfd.readouterr().err


def test_the_ratio_is_of_the_best_times_and_decides():
    assert outcome((1.0, 3.0), (4.0, 2.5)).ratio == 2.5
    assert outcome((1.0, 3.0), (4.0, 2.5)).passes
    assert not outcome((1.0,), (1.9,)).passes
    assert outcome((1.0,)).passes is None  # no peer, no ratio
    timed = WORK._replace(ratio=None, seconds=0.5)
    assert outcome((0.4, 9.0), work=timed).passes
    assert not outcome((0.6,), (9.0,), work=timed).passes


def test_the_table_says_what_missed_its_bar():
    lines = table({"good": outcome((0.001,), (1.0,)), "bad": outcome((1.0,), (1.0,))}).splitlines()
    assert "1 ms" in lines[2]
    assert "1000.00" in lines[2]
    assert "missed" not in lines[2]
    assert lines[3].endswith("| 1.00 | ratio 2 **missed** | 1.00 GB | 2.00 GB |")


def test_what_got_slower_is_told():
    stored = {
        "same": outcome((1.0,), (4.0,)).as_json(),
        "lost": outcome((1.0,), (4.0,)).as_json(),
        "missed": outcome((1.0,), (2.1,)).as_json(),
        "gone": outcome((1.0,), (4.0,)).as_json(),
    }
    now = {
        "same": outcome((1.0,), (3.3,)).as_json(),
        "lost": outcome((1.0,), (3.0,)).as_json(),
        "missed": outcome((1.0,), (1.9,)).as_json(),
    }
    found = slower(stored, now, tolerance=0.2)
    assert [line.partition(":")[0] for line in found] == ["lost", "missed"]


def test_inputs_are_the_same_each_time_and_lie_in_the_image():
    for boxes in (
        inputs.regions(50, (40, 60)),
        inputs.objects(50, (40, 60), num_classes=3)["boxes"],
    ):
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] <= (60.001, 40.001)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    np.testing.assert_array_equal(inputs.crowd(9, (40, 60)), inputs.crowd(9, (40, 60)))
    assert len(np.unique(inputs.scores(4, 5))) == 20
    probabilities, boxes = inputs.classified(7, (40, 60), num_classes=3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    assert boxes.shape == (7, 3, 4)


def test_every_work_belongs_to_a_group_and_has_a_kind():
    assert {work.group for work in works().values()} == {
        *("operations", "predict", "train", "input", "evaluation", "compilation")
    }
