"""The complete description of a run: what ``configs/`` returns and every checkpoint carries."""

from dataclasses import dataclass, field
from typing import Literal

from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import DatasetConfig
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.semantic_targets import SemanticMapsConfig
from maskrcnn_jax.training.optimizer import SGDConfig

_COUNTS = ("log_every", "checkpoint_every", "keep_checkpoints", "micro_batches")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything about a run that does not change its result, and its seed."""

    seed: int = 0
    # Steps between two lines of the log, and between two checkpoints.
    log_every: int = 20
    checkpoint_every: int = 1000
    # The newest checkpoints that are kept.
    keep_checkpoints: int = 2
    # Steps between two pictures of what the network gets and makes of it, in WORKDIR/pictures; the
    # images of the first step are drawn as well. 0: none at all.
    pictures_every: int = 1000
    # Where the log goes beside WORKDIR/metrics.jsonl and WORKDIR/tensorboard. "wandb" is Weights &
    # Biases, offline unless WANDB_MODE says otherwise (pip install -e '.[wandb]').
    logger: Literal["wandb"] | None = None
    # Parts in which each device works through its images of a step, one after the other (gradient
    # accumulation): less memory, more time. Only a trained BatchNorm notices: it sees a part.
    micro_batches: int = 1
    # Whether weights and optimizer state are divided over the devices, in place of a copy on each.
    shard_state: bool = False

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("pictures_every", 0), *((n, 1) for n in _COUNTS)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    model: AnyDetectorConfig
    data: DatasetConfig
    input: InputConfig
    optimizer: SGDConfig
    init: InitConfig = field(default_factory=InitConfig)
    run: RunConfig = field(default_factory=RunConfig)


def check_num_classes(dataset: Dataset, model: AnyDetectorConfig) -> None:
    """Refuses data with another number of categories than the model has classes."""
    if len(dataset.categories) != model.num_classes:
        raise InputError(
            f"{dataset.name} has {len(dataset.categories)} categories, but "
            f"--model.num-classes is {model.num_classes}"
        )


def semantic_labels(model: AnyDetectorConfig) -> int | None:
    """Classes of the semantic maps that the model is trained on; None: it needs none."""
    roi = model.roi if isinstance(model, MaskRCNNConfig) else None
    semantic = roi.semantic if isinstance(roi, HTCRoIHeadConfig) else None
    target = None if semantic is None else semantic.target
    return target.num_labels if isinstance(target, SemanticMapsConfig) else None


def check_semantic_maps(config: ExperimentConfig) -> None:
    """Refuses to train a model without the semantic maps it needs, or with others."""
    needed = semantic_labels(config.model)
    if config.input.semantic_labels != needed:
        raise InputError(
            f"--input.semantic-labels is {config.input.semantic_labels}, but the model is trained "
            f"on semantic maps of {needed or 'no'} classes: set it to {needed}"
        )
