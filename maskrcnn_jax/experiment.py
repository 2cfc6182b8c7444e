"""The complete description of a run: what ``configs/`` returns and every checkpoint carries."""

from dataclasses import dataclass, field
from pathlib import Path

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import DatasetConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.training.optimizer import SGDConfig

_COUNTS = ("log_every", "checkpoint_every", "keep_checkpoints")


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Where the first weights come from; without a file they are random."""

    # ImageNet weights of the backbone (npz, norms folded into the convolutions).
    backbone: Path | None = None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything about a run that does not change its result, and its seed."""

    seed: int = 0
    # Steps between two lines of the log, and between two checkpoints.
    log_every: int = 20
    checkpoint_every: int = 1000
    # The newest checkpoints that are kept.
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), *((n, 1) for n in _COUNTS)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    model: MaskRCNNConfig
    data: DatasetConfig
    input: InputConfig
    optimizer: SGDConfig
    init: InitConfig = field(default_factory=InitConfig)
    run: RunConfig = field(default_factory=RunConfig)
