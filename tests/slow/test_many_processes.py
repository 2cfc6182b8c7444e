"""Many processes do what one does, and a signal to one of two stops both; see tests/scripts."""

import signal
import time

import jax
import numpy as np
import pytest

from maskrcnn_jax.training.checkpoint import load_trained
from tests.scripts.conftest import TINY, log_lines
from tests.scripts.test_distributed import BATCH, cache, finish, start

__all__ = ["cache"]  # a fixture
PICTURES = ("--run.pictures-every", "2")


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory):
    """The same run by one process, on one device."""
    workdir = tmp_path_factory.mktemp("alone")
    result = run("train.py", "shapes", "--workdir", workdir, *TINY, *BATCH, *PICTURES)
    assert result.returncode == 0, result.stderr
    return workdir


def assert_as_one_does(alone, cache, tmp_path, *, count):
    """Runs ``count`` processes, and compares logs and weights."""
    outputs = finish(start(tmp_path, cache, count, *PICTURES))
    assert [status for _, status in outputs] == [0] * count, outputs
    assert f"process {count - 1} of {count}: " in outputs[0][0]
    assert "trained for 2 steps" in outputs[0][0]
    assert all("trained for" not in text for text, _ in outputs[1:])
    for ours, expected in zip(log_lines(tmp_path), log_lines(alone), strict=True):
        assert ours.keys() == expected.keys()
        for name in ours:
            np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, err_msg=name)
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert pictures == ["step_00000001.png", "step_00000002.png"]
    (run_a, variables_a), (run_b, variables_b) = load_trained(tmp_path), load_trained(alone)
    assert run_a == run_b
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        variables_a,
        variables_b,
    )


@pytest.mark.parametrize("count", [2, 4])
def test_they_do_what_one_does(alone, cache, tmp_path, count):
    assert_as_one_does(alone, cache, tmp_path, count=count)


def test_a_signal_to_one_process_stops_all_after_the_same_step(cache, tmp_path):
    processes = start(tmp_path, cache, 2, "--optimizer.schedule.epochs", "100")
    deadline = time.monotonic() + 300
    while not (tmp_path / "checkpoints/2").is_dir():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGTERM)
    outputs = finish(processes)
    assert [status for _, status in outputs] == [128 + signal.SIGTERM] * 2, outputs
    last = log_lines(tmp_path)[-1]["step"]
    assert 2 < last < 200
    assert f"SIGTERM: saved after step {last} of 200" in outputs[0][0]
    assert (tmp_path / "checkpoints" / str(last)).is_dir()
