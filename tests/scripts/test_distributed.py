"""Several processes on this machine, each with its own device, as on several hosts."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.scripts.conftest import ROOT, TINY, log_lines

BATCH = ("--input.batch-size", "4", "--input.eval-batch-size", "4")
TIMEOUT = 5  # seconds of silence after which a process is given up


def start(workdir, cache, count, *options):
    """Starts ``count`` processes of one run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "TFDS_DATA_DIR": str(cache),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1 --xla_backend_optimization_level=0",
    }
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-u", "train.py", "shapes", "--workdir", workdir, *TINY, *BATCH),
                *("--distributed.coordinator", f"127.0.0.1:{port}"),
                *("--distributed.num-processes", str(count)),
                *("--distributed.process-id", str(index)),
                *("--distributed.heartbeat-timeout", str(TIMEOUT), *options),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(count)
    ]


def finish(processes):
    """Output and exit status of each."""
    return [(process.communicate(timeout=500)[0], process.returncode) for process in processes]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def test_when_one_is_lost_all_end_and_another_number_goes_on(run, cache, tmp_path):
    longer = ("--optimizer.schedule.epochs", "8", "--run.checkpoint-every", "4")
    processes = start(tmp_path, cache, 2, *longer)
    deadline = time.monotonic() + 300
    while not (tmp_path / "checkpoints/4").is_dir():
        assert time.monotonic() < deadline
        if any(process.poll() is not None for process in processes):
            pytest.fail(str(finish(processes)))
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    (text, status), _ = finish(processes)
    assert status != 0
    assert time.monotonic() - killed < 10 * TIMEOUT
    assert "process 1 of 2: " in text  # its host
    assert "another task died" in text or "stopped sending heartbeats" in text
    assert len(log_lines(tmp_path)) < 16

    result = run("train.py", "shapes", "--workdir", tmp_path, *TINY, *BATCH, *longer)
    assert result.returncode == 0, result.stderr
    assert "steps 0 to" not in result.stdout
    assert [line["step"] for line in log_lines(tmp_path)] == list(range(1, 17))


def test_an_error_in_one_ends_the_others(cache, tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()  # which only the first process writes
    started = time.monotonic()
    (text, status), (_, other) = finish(start(tmp_path, cache, 2))
    assert status == 2
    assert "the log cannot be written" in text
    assert other != 0
    assert time.monotonic() - started < 200  # JAX itself would wait for 300


@pytest.mark.parametrize("option", ["coordinator", "num-processes", "process-id"])
def test_half_of_an_address_is_refused(fails, tmp_path, option):
    value = "127.0.0.1:1" if option == "coordinator" else "1"
    message = fails(
        "train.py", "shapes", "--workdir", tmp_path, *TINY, f"--distributed.{option}", value
    )
    assert "are given together or not at all" in message
