"""SGD with momentum, and its learning rate over time."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import optax

from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Linear warm-up, then a rate that drops by ``decay_factor`` at each epoch of ``decay_at``.

    Epochs are passes over the training images and may be fractions.
    """

    epochs: float
    decay_at: tuple[float, ...] = ()
    decay_factor: float = 0.1
    warmup_steps: int = 1000
    warmup_start: float = 1e-3

    def __post_init__(self) -> None:
        _check_length(self.epochs, self.warmup_steps)

    def num_steps(self, steps_per_epoch: int) -> int:
        return _num_steps(self.epochs, steps_per_epoch)

    def build(self, peak: float, steps_per_epoch: int) -> optax.Schedule:
        """The learning rate as a function of the number of finished steps."""
        drops: dict[int, float] = {}
        for epoch in self.decay_at:
            step = round(epoch * steps_per_epoch)
            drops[step] = drops.get(step, 1.0) * self.decay_factor
        decay = optax.piecewise_constant_schedule(peak, drops)
        return _warmed_up(decay, steps=self.warmup_steps, start=self.warmup_start)


@dataclass(frozen=True, kw_only=True)
class CosineScheduleConfig:
    """Linear warm-up, and half a cosine from the full rate down to ``final_factor`` of it.

    The cosine of Loshchilov and Hutter, 2017 (SGDR), without restarts, begins with the first step;
    warm-up multiplies it.
    """

    epochs: float
    final_factor: float = 0.0
    warmup_steps: int = 1000
    warmup_start: float = 1e-3

    def __post_init__(self) -> None:
        _check_length(self.epochs, self.warmup_steps)
        if not 0 <= self.final_factor <= 1:
            raise InputError(f"final_factor must be between 0 and 1, not {self.final_factor}")

    def num_steps(self, steps_per_epoch: int) -> int:
        return _num_steps(self.epochs, steps_per_epoch)

    def build(self, peak: float, steps_per_epoch: int) -> optax.Schedule:
        """The learning rate as a function of the number of finished steps."""
        num_steps = self.num_steps(steps_per_epoch)
        decay = optax.cosine_decay_schedule(peak, num_steps, alpha=self.final_factor)
        return _warmed_up(decay, steps=self.warmup_steps, start=self.warmup_start)


AnyScheduleConfig: TypeAlias = ScheduleConfig | CosineScheduleConfig


@dataclass(frozen=True, kw_only=True)
class SGDConfig:
    """``learning_rate`` belongs to batches of ``reference_batch_size`` images and is scaled to the
    actual batch size (Goyal et al., 2017); None takes it as it is.

    Weight decay spares the scales of norms and all biases unless asked.
    """

    schedule: AnyScheduleConfig
    learning_rate: float = 0.02
    reference_batch_size: int | None = 16
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay_norms: bool = False
    decay_biases: bool = False
    # Longer gradients (over all parameters together) are shortened to this; None leaves them.
    max_gradient_norm: float | None = None
    # The share of the old value in a moving average of the weights, with which the run is evaluated
    # in place of the last weights; such as 0.9998. None: no average.
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay must be at least 0 and below 1, not {self.ema_decay}")

    def peak(self, batch_size: int) -> float:
        """The learning rate after warm-up for batches of ``batch_size`` images."""
        return self.learning_rate * batch_size / (self.reference_batch_size or batch_size)

    def build(self, learning_rate: optax.Schedule) -> optax.GradientTransformation:
        """Momentum SGD: v <- momentum v + gradient + decay p;  p <- p - rate v, as in PyTorch."""
        clip = optax.identity()
        if self.max_gradient_norm is not None:
            clip = optax.clip_by_global_norm(self.max_gradient_norm)
        return optax.chain(
            clip,
            optax.add_decayed_weights(self.weight_decay, mask=self._is_decayed),
            optax.sgd(learning_rate, momentum=self.momentum),
        )

    def _is_decayed(self, params: Any) -> Any:
        decayed = {"kernel": True, "scale": self.decay_norms, "bias": self.decay_biases}
        return jax.tree.map_with_path(lambda path, _: decayed[path[-1].key], params)


def _check_length(epochs: float, warmup_steps: int) -> None:
    if not 0 < epochs < math.inf:
        raise InputError(f"epochs must be above 0, not {epochs}")
    if warmup_steps < 0:
        raise InputError(f"warmup_steps must be at least 0, not {warmup_steps}")


def _num_steps(epochs: float, steps_per_epoch: int) -> int:
    return max(round(epochs * steps_per_epoch), 1)


def _warmed_up(rate: optax.Schedule, *, steps: int, start: float) -> optax.Schedule:
    """The rate times what grows from ``start`` to 1 in the first steps."""
    if steps == 0:
        return rate
    warmup = optax.linear_schedule(start, 1.0, steps)
    return lambda step: rate(step) * warmup(step)
