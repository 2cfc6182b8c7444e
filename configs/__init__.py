"""Presets: each module here has a function of its own name that returns a full config.

``finetune`` alone takes something, the options of the command line: it looks at the data and the
weights that they name. Where a preset is asked for, a file ``NAME.json`` does too: a config as
``serialization`` writes it.

All presets are imported here: one may bring a part that is not of the package, which a checkpoint
then finds.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_jax.data.json_fields import read_json_object
from maskrcnn_jax.errors import InputError, did_you_mean
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.finetuning.fitted import FittedConfig
from maskrcnn_jax.serialization import from_json

_FITTED = "finetune"


def names() -> list[str]:
    """All presets, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def describe(name: str) -> str:
    """The lab note at the top of a preset's file; nothing for a JSON file."""
    if _is_file(name):
        return ""
    return importlib.import_module(f"configs.{name}").__doc__ or ""


def load(name: str) -> ExperimentConfig:
    """The config of a preset, or of a JSON file."""
    if _is_file(name):
        return from_json(ExperimentConfig, read_json_object(Path(name)), where=name)
    if name not in names():
        raise InputError(f"there is no preset {name!r}.{did_you_mean(name, names())}")
    if name == _FITTED:
        raise InputError(
            f"the preset {name!r} is made for the data of a training; a run of it is given as "
            "--workdir DIR or --init.checkpoint DIR"
        )
    return getattr(importlib.import_module(f"configs.{name}"), name)()


def fit(name: str, options: Sequence[str]) -> FittedConfig:
    """The config of a preset for the ``options`` of a command line, most of which overrule it."""
    if name == _FITTED:
        return importlib.import_module(f"configs.{name}").finetune(options)
    return FittedConfig(config=load(name))


def _is_file(name: str) -> bool:
    return name.endswith(".json")


for _name in names():
    importlib.import_module(f"configs.{_name}")
