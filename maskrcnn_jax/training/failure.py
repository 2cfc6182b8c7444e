"""What is kept of a step whose loss or gradient was not finite, so that it can be done again.

``WORKDIR/failure`` has the batch with the names of its images, and a checkpoint of the state before
the step. ``python -m maskrcnn_jax.training.replay WORKDIR`` finds what is wrong in it.
"""

import dataclasses
import io
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_bytes
from maskrcnn_jax.structures import Batch, GroundTruth
from maskrcnn_jax.training.checkpoint import Checkpoints, Run
from maskrcnn_jax.training.distributed import is_first_process
from maskrcnn_jax.training.state import TrainState

_TRUTH = "ground_truth."


@dataclass(frozen=True, kw_only=True)
class NamedBatch:
    """A batch on the host, and which images it has."""

    batch: Batch
    image_ids: np.ndarray
    file_names: np.ndarray

    def names(self) -> list[str]:
        """For example ``17 (a/b.jpg)``."""
        pairs = zip(self.image_ids, self.file_names, strict=True)
        return [f"{image_id} ({file_name})" for image_id, file_name in pairs]


def fail(
    workdir: Path, state: TrainState, run: Run, *, dataset: Dataset, metrics: Mapping[str, float]
) -> None:
    """Writes ``WORKDIR/failure`` and raises the InputError that tells of it; in all processes.

    ``state`` is as it was before the step, whose batch number is ``run.position``.
    """
    batch = global_batch(dataset, run.config.input, seed=run.config.run.seed, number=run.position)
    told = message(workdir, step=int(state.step) + 1, metrics=metrics, batch=batch)
    try:
        _write(workdir / "failure", state, run, batch)
    except (InputError, OSError) as error:
        raise InputError(f"{told}\nBut batch and state could not be written: {error}") from None
    raise InputError(told)


def _write(folder: Path, state: TrainState, run: Run, batch: NamedBatch) -> None:
    if is_first_process():
        shutil.rmtree(folder, ignore_errors=True)
        write_batch(folder / "batch.npz", batch)
    checkpoints = Checkpoints(folder)
    checkpoints.save(state, run)
    checkpoints.close()


def global_batch(dataset: Dataset, config: InputConfig, *, seed: int, number: int) -> NamedBatch:
    """A training batch of all processes, made once more."""
    config = dataclasses.replace(config, num_workers=0)
    stream = train_batches(dataset, config, seed=seed, start=number)
    batch = next(stream)
    stream.close()
    indices = np.asarray(batch.indices)
    file_names = np.array([dataset.images.file_names[index] for index in indices])
    return NamedBatch(batch=batch, image_ids=dataset.images.ids[indices], file_names=file_names)


def message(workdir: Path, *, step: int, metrics: Mapping[str, float], batch: NamedBatch) -> str:
    """What the user reads."""
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    wrong = wrong or ["what the weights or running statistics would become"]
    are = "is" if len(wrong) == 1 else "are"
    values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    return (
        f"step {step}: {', '.join(wrong)} {are} not finite ({values}).\n"
        f"Images of this batch: {', '.join(batch.names())}.\n"
        f"Batch and state are in {workdir / 'failure'}; what is wrong in them is shown by\n"
        f"    python -m maskrcnn_jax.training.replay {workdir}\n"
        "Usual mends: lower --optimizer.learning-rate, lengthen --optimizer.schedule.warmup-steps, "
        "set --optimizer.max-gradient-norm, or check the data (python -m maskrcnn_jax.data.check). "
        "The same command goes on from the last checkpoint."
    )


def write_batch(path: Path, named: NamedBatch) -> None:
    """Inverse of ``read_batch``."""
    fields = {**vars(named.batch), **vars(named)}
    del fields["batch"], fields["ground_truth"]
    truth = {
        f"{_TRUTH}{name}": value
        for name, value in vars(named.batch.ground_truth).items()
        if value is not None
    }
    content = io.BytesIO()
    np.savez_compressed(content, **fields, **truth)
    write_bytes(path, content.getvalue())


def read_batch(path: Path) -> NamedBatch:
    """Inverse of ``write_batch``."""
    with np.load(path) as file:
        fields: dict[str, Any] = dict(file)
    truth = {name: fields.pop(name) for name in list(fields) if name.startswith(_TRUTH)}
    image_ids, file_names = fields.pop("image_ids"), fields.pop("file_names")
    ground_truth = GroundTruth(**{name.removeprefix(_TRUTH): x for name, x in truth.items()})
    batch = Batch(**fields, ground_truth=ground_truth)
    return NamedBatch(batch=batch, image_ids=image_ids, file_names=file_names)
