"""Presets: each module here has a function of its own name that returns a full config."""

import importlib
import pkgutil

from maskrcnn_jax.errors import InputError, did_you_mean
from maskrcnn_jax.experiment import ExperimentConfig


def names() -> list[str]:
    """All presets, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def describe(name: str) -> str:
    """The lab note at the top of a preset's file."""
    return importlib.import_module(f"configs.{name}").__doc__ or ""


def load(name: str) -> ExperimentConfig:
    """The config of a preset."""
    if name not in names():
        raise InputError(f"there is no preset {name!r}.{did_you_mean(name, names())}")
    return getattr(importlib.import_module(f"configs.{name}"), name)()
