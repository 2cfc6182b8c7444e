"""A run that is killed 25 times at random moments ends with what it would have ended with anyway.

While it stores the data, compiles, steps and saves; with data workers, and with a compilation cache
that is empty at first. Takes 23 minutes on 2 CPU cores that others use as well.
"""

import time

import numpy as np

from tests.scripts.stopped_runs import StoppableRun, assert_same_result, logged_steps

NUM_KILLS = 25
OPTIONS = (
    "--optimizer.schedule.epochs 40 --optimizer.ema-decay 0.9 --run.log-every 2 "
    "--run.checkpoint-every 3 --input.num-workers 2"
).split()


def test_25_kills_change_nothing(tmp_path):
    environment = {
        "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1 --xla_backend_optimization_level=0",
    }
    rng = np.random.default_rng(0)
    workdir, startup = tmp_path / "killed", 40.0
    killed = {"starting": 0, "stepping": 0, "saving": 0}
    while sum(killed.values()) < NUM_KILLS:
        moment = min(killed, key=lambda name: killed[name])
        steps, begin = max([0, *logged_steps(workdir)]), time.monotonic()
        run = StoppableRun(workdir, OPTIONS, environment)
        if moment == "starting":
            time.sleep(rng.uniform(0, startup))
        elif moment == "stepping":
            assert run.wait_for(run.has_logged(steps)), run.output()
            startup = time.monotonic() - begin
            time.sleep(rng.uniform(0, 0.3))
        else:
            assert run.wait_for(run.is_saving), run.output()
            time.sleep(rng.uniform(0, 0.1))
        run.kill()
        assert run.process.returncode < 0, run.output()
        killed[moment] += 1
        print(f"{moment}: killed with {logged_steps(workdir)[-1:]} steps in the log", flush=True)

    run = StoppableRun(workdir, OPTIONS, environment)
    assert run.process.wait() == 0, run.output()
    straight = tmp_path / "straight"
    fresh = {**environment, "TFDS_DATA_DIR": str(tmp_path / "tfds-straight")}
    run = StoppableRun(straight, OPTIONS, fresh)
    assert run.process.wait() == 0, run.output()
    assert_same_result(workdir, straight)
