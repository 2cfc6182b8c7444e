"""The Dice loss as BMask R-CNN has it: without squares, and smoothed by ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.losses.terms import LossTerm


def smooth_dice(
    logits: Float[Array, "n h w"], targets: Float[Array, "n h w"], valid: Bool[Array, " n"]
) -> LossTerm:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) of each mask, p being its probabilities.

    Counts the valid masks (hustvl/BMaskR-CNN, ``mask_head.py``: ``dice_loss_func``). Two empty
    masks have a loss of 0.
    """
    x, t = (jnp.where(valid[:, None, None], one, 0) for one in (logits, targets))
    p = jax.nn.sigmoid(x)
    both, total = (p * t).sum((1, 2)), (p + t).sum((1, 2))
    losses = jnp.where(valid, 1 - (2 * both + 1) / (total + 1), 0)
    return LossTerm(losses.sum(), valid.sum().astype(losses.dtype))
