"""A run that is stopped in every way ends with what it would have ended with anyway."""

import resource
import signal

import pytest

from tests.scripts.conftest import TINY
from tests.scripts.stopped_runs import StoppableRun, assert_same_result

# Neither lines of the log nor checkpoints fall on the same steps.
LONG = (
    "--optimizer.schedule.epochs 15 --optimizer.ema-decay 0.9 --run.log-every 2 "
    "--run.checkpoint-every 5 --input.num-workers"
).split()
NUM_STEPS = 60


@pytest.fixture(scope="module")
def straight(run, tmp_path_factory):
    """A run that nobody stops, without workers."""
    workdir = tmp_path_factory.mktemp("straight")
    result = run("train.py", "shapes", "--workdir", workdir, *TINY, *LONG, "0")
    assert result.returncode == 0, result.stderr
    return workdir


def test_a_run_that_is_stopped_again_and_again_ends_as_if_nothing_had_been(
    environment, straight, tmp_path
):
    workdir = tmp_path / "run"

    def start(num_workers=1):
        return StoppableRun(workdir, [*LONG, str(num_workers)], environment)

    # A preempted machine: SIGTERM to all processes.
    run = start()
    assert run.wait_for(run.has_logged(4)), run.output()
    assert run.signal_all(signal.SIGTERM) == 128 + signal.SIGTERM, run.output()
    assert "SIGTERM: saved after step" in run.output()
    stopped_at = newest(workdir)
    assert 4 <= stopped_at < NUM_STEPS

    # Killed while it writes a checkpoint. What was being written is not taken for one.
    run = start()
    assert run.wait_for(run.is_saving), run.output()
    run.kill()
    assert newest(workdir) < NUM_STEPS

    # Killed between two checkpoints, and in the middle of a line.
    run = start()
    assert run.wait_for(run.has_logged(newest(workdir) + 3)), run.output()
    run.kill()
    with (workdir / "metrics.jsonl").open("a") as log:
        log.write('{"step": 58, "lo')

    # A full disk, as far as a program can tell. (Shared memory counts as files, too.)
    run = start(num_workers=0)
    assert run.wait_for(lambda: f"steps {newest(workdir)} to" in run.output()), run.output()
    before = newest(workdir)
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    assert run.process.wait(600) == 2, run.output()
    assert f"{workdir}/checkpoints/" in run.output()
    assert "the checkpoint cannot be written: File too large" in run.output()
    assert "Traceback" not in run.output()
    assert newest(workdir) == before

    run = start()
    assert run.process.wait(600) == 0, run.output()
    assert_same_result(workdir, straight)
    assert {path.name for path in (workdir / "checkpoints").iterdir()} == {"55", "60"}


def newest(workdir):
    return max([int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdigit()])
