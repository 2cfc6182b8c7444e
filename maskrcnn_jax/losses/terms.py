"""Formulas of losses, over entries of which some are not valid.

An invalid entry adds nothing to the sum, the count or the gradient, whatever it holds.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class LossTerm(NamedTuple):
    """A loss is ``sum / count`` once both are summed over the images of all devices."""

    sum: Array
    count: Array

    def weighted(self, weight: float) -> "LossTerm":
        """The term times ``weight``."""
        return LossTerm(weight * self.sum, self.count)

    @property
    def mean(self) -> Array:
        """0 where nothing was counted."""
        return self.sum / jnp.maximum(self.count, 1)


def softmax_cross_entropy(
    logits: Float[Array, "*n k"], labels: Int[Array, "*n"], valid: Bool[Array, "*n"]
) -> LossTerm:
    """-log softmax(logits)[label]; counts the valid entries."""
    logits = jnp.where(valid[..., None], logits, 0)
    safe = jnp.where(valid, labels, 0)
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), safe[..., None], axis=-1)[..., 0]
    return _total(-log_p, valid)


def binary_cross_entropy(
    logits: Float[Array, "*n"], targets: Float[Array, "*n"], valid: Bool[Array, "*n"]
) -> LossTerm:
    """-t log s(x) - (1 - t) log(1 - s(x)) with the sigmoid s; counts the valid entries."""
    x, t = jnp.where(valid, logits, 0), jnp.where(valid, targets, 0)
    return _total(jax.nn.softplus(x) - x * t, valid)


def generalised_cross_entropy(
    logits: Float[Array, "*n"], targets: Float[Array, "*n"], valid: Bool[Array, "*n"], *, q: float
) -> LossTerm:
    """(1 - p^q) / q, where p is the probability of what is true; counts the valid entries.

    The L_q loss of Zhang and Sabuncu (2018) for two classes. A target between 0 and 1 weighs the
    losses of both. As q goes to 0 this becomes the binary cross entropy; with q = 1 it is 1 - p,
    which for targets of 0 and 1 is the distance |s(x) - t|: half the paper's mean absolute error,
    which adds up both classes. The gradient is that of the cross entropy times p^q: entries that
    the model is sure to be labelled wrong count less.

    Needs 0 < q <= 1. Safe for large logits and for small q: p^q - 1 = expm1(q log p).
    """
    x, t = jnp.where(valid, logits, 0), jnp.where(valid, targets, 0)
    if_true, if_false = (-jnp.expm1(q * jax.nn.log_sigmoid(s)) / q for s in (x, -x))
    return _total(t * if_true + (1 - t) * if_false, valid)


def smooth_l1(
    predictions: Float[Array, "*n"],
    targets: Float[Array, "*n"],
    valid: Bool[Array, "*n"],
    *,
    beta: float,
) -> LossTerm:
    """0.5 d^2 / beta for |d| < beta, else |d| - 0.5 beta; beta 0 is L1 (Fast R-CNN, eq. 3)."""
    difference = jnp.where(valid, predictions - targets, 0)
    error = jnp.maximum(difference, -difference)  # unlike abs, has gradient 0 at 0
    if beta == 0:
        return _total(error, valid)
    return _total(jnp.where(error < beta, 0.5 * error**2 / beta, error - 0.5 * beta), valid)


def squared_error(
    predictions: Float[Array, "*n"], targets: Float[Array, "*n"], valid: Bool[Array, "*n"]
) -> LossTerm:
    """d^2; counts the valid entries."""
    return _total(jnp.where(valid, predictions - targets, 0) ** 2, valid)


def _total(values: Array, valid: Array) -> LossTerm:
    return LossTerm(jnp.where(valid, values, 0).sum(), valid.sum().astype(values.dtype))
