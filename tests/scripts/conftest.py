"""Scripts are run as a user runs them, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A detector that trains in seconds: 4 steps of 2 images.
TINY = (
    "--data.image-size 64 --data.num-train 8 --data.num-eval 3 "
    "--input.batch-size 2 --input.eval-batch-size 2 --input.short-sides 64 "
    "--input.eval-short-side 64 --input.long-side 64 --input.padded-sizes 64 64 "
    "--model.backbone.width 16 --model.backbone.frozen-stages 4 "  # compiles in less time
    "--model.neck.channels 16 --model.roi.box.hidden 32 "
    "--model.roi.mask.num-convs 1 --model.roi.mask.channels 16 "
    "--model.rpn.train-proposals.after-nms 50 --model.rpn.test-proposals.after-nms 50 "
    "--model.roi.detections.score-threshold 0.0 --model.roi.detections.max-detections 10 "
    "--optimizer.schedule.epochs 1 --optimizer.schedule.decay-at 0.5 "
    "--optimizer.schedule.warmup-steps 2 --run.checkpoint-every 2 --run.log-every 1 "
    "--run.pictures-every 0"
).split()

# What of a line of the log depends on the machine.
_OF_MACHINE = ("images_per_second", "compilations")

_DEVICES = "--xla_force_host_platform_device_count"
Script = Callable[..., subprocess.CompletedProcess[str]]


def log_lines(workdir: Path) -> list[dict]:
    """The log without what depends on the machine."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: x for name, x in line.items() if name not in _OF_MACHINE} for line in lines]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for a script on one device."""
    return {
        "TFDS_DATA_DIR": str(tmp_path_factory.mktemp("tfds")),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "XLA_FLAGS": f"{_DEVICES}=1 --xla_backend_optimization_level=0",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="session")
def run(environment: dict[str, str]) -> Script:
    """Runs a script of the repository; on one device unless told otherwise."""

    def run(script: str, *arguments: object, devices: int = 1) -> subprocess.CompletedProcess[str]:
        flags = environment["XLA_FLAGS"].replace(f"{_DEVICES}=1", f"{_DEVICES}={devices}")
        return subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **environment, "XLA_FLAGS": flags},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def workdir(run: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of 4 steps. Tests only read it."""
    workdir = tmp_path_factory.mktemp("run")
    result = run("train.py", "shapes", "--workdir", workdir, *TINY)
    assert result.returncode == 0, result.stderr
    return workdir


@pytest.fixture
def fails(run: Script) -> Callable[..., str]:
    """Runs a script that must end with status 2, and returns its message."""

    def fails(script: str, *arguments: object, devices: int = 1) -> str:
        result = run(script, *arguments, devices=devices)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr

    return fails
