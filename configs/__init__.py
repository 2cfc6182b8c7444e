"""Presets: each module here has a function of its own name that returns a full config.

Where a preset is asked for, a file ``NAME.json`` does too: a config as ``serialization`` writes it.
All presets are imported here: one may bring a part that is not of the package, which a checkpoint
then finds.
"""

import importlib
import pkgutil
from pathlib import Path

from maskrcnn_jax.data.json_fields import read_json_object
from maskrcnn_jax.errors import InputError, did_you_mean
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.serialization import from_json


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
    return getattr(importlib.import_module(f"configs.{name}"), name)()


def _is_file(name: str) -> bool:
    return name.endswith(".json")


for _name in names():
    importlib.import_module(f"configs.{_name}")
