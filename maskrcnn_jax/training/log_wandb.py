"""A log by Weights & Biases, in ``WORKDIR/wandb``."""

import importlib
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_bytes


class WandbLog:
    """Nothing leaves the machine unless ``WANDB_MODE`` is "online"; ``wandb sync`` sends it later.

    The id of the run stays in ``WORKDIR/wandb/run_id``, so that a training that goes on is one run.
    What else there is to choose (``WANDB_PROJECT``, ``WANDB_NAME``) are wandb's own variables.
    """

    def __init__(self, workdir: Path, *, config: Mapping[str, Any]) -> None:
        self._wandb = _import_wandb()
        try:
            self._run = self._wandb.init(
                dir=workdir,
                id=_run_id(workdir / "wandb" / "run_id"),
                resume="allow",
                mode=os.environ.get("WANDB_MODE", "offline"),
                config=config,
            )
        except (self._wandb.Error, ValueError) as error:  # pydantic's are of the second kind
            reason = " ".join(str(error).partition("For further information")[0].split())
            raise InputError(
                f"--run.logger wandb: {reason.rstrip('.')}. Without WANDB_MODE and other variables "
                "of wandb it is offline and needs nothing"
            ) from error

    def write(self, step: int, line: Mapping[str, float]) -> None:
        self._run.log(line, step=step)

    def write_picture(self, step: int, picture: np.ndarray) -> None:
        self._run.log({"pictures": self._wandb.Image(picture)}, step=step)

    def close(self) -> None:
        self._run.finish()


def _import_wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise InputError(
            f"--run.logger wandb: {error}. Install it with: pip install -e '.[wandb]'"
        ) from error


def _run_id(path: Path) -> str:
    """The id of the run of a work directory; made and noted when it is first asked for."""
    if not path.exists():
        write_bytes(path, uuid.uuid4().hex.encode())
    return path.read_text()
