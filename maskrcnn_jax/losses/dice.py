"""Dice losses: how little two masks overlap, whatever their size.

Each counts the valid masks. The two differ in what the systems that use them do where masks are
small or empty.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.losses.terms import LossTerm

_EPSILON = 1e-3  # MMDetection, dice_loss.py


def dice(
    logits: Float[Array, "n h w"], targets: Float[Array, "n h w"], valid: Bool[Array, " n"]
) -> LossTerm:
    """1 - 2 sum(p t) / (sum(p^2) + sum(t^2)) of each mask, p being its probabilities.

    Milletari et al., 2016, section 3; SOLO, equation 4. Two empty masks have a loss of 1.
    """
    p, t = _probabilities(logits, targets, valid)
    squares = _sum(p**2) + _sum(t**2) + 2 * _EPSILON
    return _total(1 - 2 * _sum(p * t) / squares, valid)


def smooth_dice(
    logits: Float[Array, "n h w"], targets: Float[Array, "n h w"], valid: Bool[Array, " n"]
) -> LossTerm:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) of each mask, p being its probabilities.

    As BMask R-CNN has it (hustvl/BMaskR-CNN, ``mask_head.py``: ``dice_loss_func``). Two empty masks
    have a loss of 0.
    """
    p, t = _probabilities(logits, targets, valid)
    return _total(1 - (2 * _sum(p * t) + 1) / (_sum(p) + _sum(t) + 1), valid)


def _probabilities(logits: Array, targets: Array, valid: Array) -> tuple[Array, Array]:
    """Of the logits, and the targets, without what is not valid."""
    x, t = (jnp.where(valid[:, None, None], one, 0) for one in (logits, targets))
    return jax.nn.sigmoid(x), t


def _sum(masks: Float[Array, "n h w"]) -> Float[Array, " n"]:
    return masks.sum((1, 2))


def _total(losses: Float[Array, " n"], valid: Bool[Array, " n"]) -> LossTerm:
    return LossTerm(jnp.where(valid, losses, 0).sum(), valid.sum().astype(losses.dtype))
