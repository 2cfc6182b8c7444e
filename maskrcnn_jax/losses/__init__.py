"""Loss formulas. Each returns a sum and a count, which are divided once, over the global batch."""

from maskrcnn_jax.losses.dice import dice, smooth_dice
from maskrcnn_jax.losses.focal import focal
from maskrcnn_jax.losses.terms import (
    LossTerm,
    binary_cross_entropy,
    generalised_cross_entropy,
    smooth_l1,
    softmax_cross_entropy,
    squared_error,
)

__all__ = [
    "LossTerm",
    "binary_cross_entropy",
    "dice",
    "focal",
    "generalised_cross_entropy",
    "smooth_dice",
    "smooth_l1",
    "softmax_cross_entropy",
    "squared_error",
]
