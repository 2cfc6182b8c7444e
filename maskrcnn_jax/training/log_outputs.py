"""Where a log goes: always to files, and to a logger if one is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.serialization import to_json
from maskrcnn_jax.training.distributed import is_first_process
from maskrcnn_jax.training.log_files import LogFiles
from maskrcnn_jax.training.log_wandb import WandbLog


class LogOutput(Protocol):
    """A new one is a file with a class, one name in ``RunConfig.logger``, and a line here."""

    def write(self, step: int, line: Mapping[str, float]) -> None: ...

    def write_picture(self, step: int, picture: np.ndarray) -> None: ...

    def close(self) -> None: ...


def open_outputs(workdir: Path, config: ExperimentConfig, *, start: int) -> list[LogOutput]:
    """The outputs of a run that goes on after step ``start``; only the first process has any."""
    if not is_first_process():
        return []
    outputs: list[LogOutput] = []
    if config.run.logger == "wandb":
        outputs.append(WandbLog(workdir, config=to_json(config)))
    return [*outputs, LogFiles(workdir, start=start)]
