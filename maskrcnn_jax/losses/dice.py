"""The Dice loss: how little two masks overlap, whatever their size."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.losses.terms import LossTerm

_EPSILON = 1e-3  # MMDetection, dice_loss.py


def dice(
    logits: Float[Array, "n h w"], targets: Float[Array, "n h w"], valid: Bool[Array, " n"]
) -> LossTerm:
    """1 - 2 sum(p t) / (sum(p^2) + sum(t^2)) of each mask, p being its probabilities.

    Counts the valid masks (Milletari et al., 2016, section 3; SOLO, equation 4). Two empty masks
    have a loss of 1.
    """
    keep = valid[:, None, None]
    p, t = jax.nn.sigmoid(jnp.where(keep, logits, 0)), jnp.where(keep, targets, 0)
    both = (p * t).sum((1, 2))
    total = jnp.square(p).sum((1, 2)) + jnp.square(t).sum((1, 2)) + 2 * _EPSILON
    losses = jnp.where(valid, 1 - 2 * both / total, 0)
    return LossTerm(losses.sum(), valid.sum().astype(losses.dtype))
