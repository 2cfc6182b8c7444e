"""A config that was made for given data and weights, and why it is as it is."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maskrcnn_jax.experiment import ExperimentConfig

_AS_GIVEN = "as given"


@dataclass(frozen=True, kw_only=True)
class FittedConfig:
    """``reasons`` has, in the order in which they are told, why each value was chosen, by the name
    of its option, such as ``input.short_sides``. Options that were ``given`` need no reason.
    """

    config: ExperimentConfig
    heading: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    def explain(self, used: ExperimentConfig) -> list[str]:
        """Lines for the user, in which each choice is the option that would make another.

        ``used`` is the config after all options of the command line.
        """
        rows = [(_as_option(option, _value(used, option)), option) for option in self.reasons]
        width = max((len(text) for text, _ in rows), default=0)
        return [
            *self.heading,
            *(f"  {text:{width}}  {self._reason(option, used)}" for text, option in rows),
            *(f"warning: {warning}" for warning in self.warnings),
        ]

    def _reason(self, option: str, used: ExperimentConfig) -> str:
        is_chosen = _value(used, option) == _value(self.config, option)
        return self.reasons[option] if is_chosen and option not in self.given else _AS_GIVEN


def _value(config: ExperimentConfig, option: str) -> Any:
    return functools.reduce(getattr, option.split("."), config)


def _as_option(option: str, value: Any) -> str:
    return f"--{option.replace('_', '-')} {_words(value)}"


def _words(value: Any) -> str:
    """As the command line takes them."""
    return " ".join(map(_words, value)) if isinstance(value, tuple) else f"{value}"
