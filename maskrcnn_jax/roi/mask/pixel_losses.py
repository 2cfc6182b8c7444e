"""What the pixels of a mask cost: the losses that a mask head can be trained with.

A config builds a function of logits [n, k, k], targets [n, k, k] (0 and 1, or probabilities) and
valid [n], whose term counts the pixels of the valid masks.

Shapes: n masks of all images, k side of the mask.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.losses import LossTerm, generalised_cross_entropy, smooth_l1
from maskrcnn_jax.ops.distance import signed_distance
from maskrcnn_jax.roi.mask.losses import mask_loss

PixelLoss: TypeAlias = Callable[[Array, Array, Array], LossTerm]


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropyConfig:
    """The loss of Mask R-CNN."""

    def build(self) -> PixelLoss:
        return mask_loss


@dataclass(frozen=True, kw_only=True)
class GeneralisedCrossEntropyConfig:
    """Between cross entropy (``q`` near 0) and absolute error (1); 0.7 is the paper's choice."""

    q: float = 0.7

    def __post_init__(self):
        if not 0 < self.q <= 1:
            raise InputError(
                f"q of the generalised cross entropy must be above 0 and at most 1, not {self.q}; "
                "the limit 0 is BinaryCrossEntropyConfig"
            )

    def build(self) -> PixelLoss:
        return functools.partial(generalised_mask_loss, q=self.q)


@dataclass(frozen=True, kw_only=True)
class SoftMaskLossConfig:
    """Targets that rise from 0 to 1 over ``width`` mask pixels on either side of the outline."""

    width: float = 2.0

    def __post_init__(self):
        if not 0 < self.width < float("inf"):
            raise InputError(
                f"width of the soft mask loss must be above 0 and finite, not {self.width}; up to "
                "0.5 mask pixels the targets are 0 and 1"
            )

    def build(self) -> PixelLoss:
        return functools.partial(soft_mask_loss, width=self.width)


PixelLossConfig: TypeAlias = (
    BinaryCrossEntropyConfig | GeneralisedCrossEntropyConfig | SoftMaskLossConfig
)


def generalised_mask_loss(
    logits: Float[Array, "n k k"],
    targets: Float[Array, "n k k"],
    valid: Bool[Array, " n"],
    *,
    q: float,
) -> LossTerm:
    """Generalised cross entropy of each pixel."""
    counted = jnp.broadcast_to(valid[:, None, None], logits.shape)
    return generalised_cross_entropy(logits, targets.astype(logits.dtype), counted, q=q)


def soft_mask_loss(
    logits: Float[Array, "n k k"],
    targets: Float[Array, "n k k"],
    valid: Bool[Array, " n"],
    *,
    width: float,
) -> LossTerm:
    """|sigmoid(logit) - soft target| of each pixel, where targets are cut at one half first."""
    counted = jnp.broadcast_to(valid[:, None, None], logits.shape)
    probabilities = jax.nn.sigmoid(jnp.where(counted, logits, 0))
    soft = soft_targets(targets >= 0.5, width=width).astype(logits.dtype)
    return smooth_l1(probabilities, soft, counted, beta=0.0)


def soft_targets(masks: Bool[Array, "n k k"], *, width: float) -> Float[Array, "n k k"]:
    """clip(0.5 + d / (2 * width), 0, 1), d the signed distance to the outline in mask pixels.

    It is at least one half where the mask is, and the mask itself where ``width`` <= 0.5. Empty
    masks are 0 and full ones 1 everywhere: the edge of the grid is no outline.
    """
    return jnp.clip(0.5 + jax.vmap(signed_distance)(masks) / (2 * width), 0, 1)
