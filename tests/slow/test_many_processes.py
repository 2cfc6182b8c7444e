"""Four processes do what one does, and a signal to one of two stops both; see tests/scripts."""

import signal
import time

from tests.scripts.conftest import log_lines
from tests.scripts.test_distributed import alone, assert_as_one_does, cache, finish, start

__all__ = ["alone", "cache"]  # fixtures


def test_four_processes_do_what_one_does(alone, cache, tmp_path):
    assert_as_one_does(alone, cache, tmp_path, count=4)


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
