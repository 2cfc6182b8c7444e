"""Training and scoring one case with one seed, by the scripts, as a user would."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import configs
from benchmarks.ablations.cases import Case
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.files import write_json
from maskrcnn_jax.serialization import differences, to_json

ROOT = Path(__file__).resolve().parents[2]

Metrics = dict[str, float]

# Name here: where in metrics.json.
METRICS = {
    "box AP": ("bbox", "AP"),
    "mask AP": ("segm", "AP"),
    "mask AP50": ("segm", "AP50"),
    "boundary AP": ("boundary", "AP"),
    "mask IoU": ("segm", "mean_matched_iou"),
}


def measure(case: Case, workdir: Path, *, seed: int, epochs: float, data: Path) -> Metrics:
    """The numbers of a run; what an earlier call has finished is not done again.

    ``data`` is the folder where the data set is stored. Raises InputError if a script fails, or if
    what is there is from a run of another config.
    """
    numbers, config = workdir / "eval/val/metrics.json", workdir / "config.json"
    wanted = to_json(_shortened(case, seed=seed, epochs=epochs, data=data))
    if config.exists():
        _check_same(to_json(configs.load(str(config))), wanted, config)
    if not numbers.exists():
        write_json(config, wanted, indent=1)
        _run("train.py", str(config), "--workdir", str(workdir))
        _run("eval.py", "--workdir", str(workdir))
    return read_metrics(numbers)


def read_metrics(path: Path) -> Metrics:
    """Those of ``METRICS`` that are there: without a mask branch, the box AP alone."""
    content = json.loads(path.read_text())
    found = {name: content.get(kind, {}).get(key) for name, (kind, key) in METRICS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _check_same(before: Any, wanted: Any, where: Path) -> None:
    """Where the data are stored may change."""
    for option, old, new in differences(before, wanted):
        if option != "data.cache_dir":
            raise InputError(
                f"{where}: this run was made with {option} {old}, not {new}; "
                "give another --workdir, or remove its folder"
            )


def _shortened(case: Case, *, seed: int, epochs: float, data: Path) -> ExperimentConfig:
    """The learning rate falls after as large a share of the epochs as in the preset."""
    config = case.config
    schedule: Any = config.optimizer.schedule  # the one of ``shapes``
    share = epochs / schedule.epochs
    schedule = dataclasses.replace(
        schedule,
        epochs=epochs,
        decay_at=tuple(share * epoch for epoch in schedule.decay_at),
        warmup_steps=max(1, round(share * schedule.warmup_steps)),
    )
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, cache_dir=data),
        optimizer=dataclasses.replace(config.optimizer, schedule=schedule),
        run=dataclasses.replace(config.run, seed=seed),
    )


def _run(*command: str) -> None:
    result = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
    if result.returncode != 0:
        raise InputError(f"{' '.join(command)} ended with status {result.returncode}; see above")
