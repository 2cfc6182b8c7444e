"""What mask heads give in training, and the loss that they share.

Shapes: b images, s positives, n RoIs of all images, k side of the mask, q classes (1 if
class-agnostic, one more with the background).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.losses import LossTerm, binary_cross_entropy
from maskrcnn_jax.structures import Samples


class MaskLosses(NamedTuple):
    """The terms of the loss, and the masks that were predicted, which another head may judge."""

    terms: dict[str, LossTerm]
    logits: Float[Array, "b s k k"]  # of the true classes


def mask_loss(
    logits: Float[Array, "n k k"], targets: Float[Array, "n k k"], valid: Bool[Array, " n"]
) -> LossTerm:
    """Binary cross entropy of each pixel of the masks of the true classes."""
    counted = jnp.broadcast_to(valid[:, None, None], logits.shape)
    return binary_cross_entropy(logits, targets.astype(logits.dtype), counted)


def positive_labels(positives: Samples) -> Int[Array, "b s"]:
    """The true class of each positive; 0, which is as good as any, where it is not valid."""
    return jnp.where(positives.valid, positives.labels, 0)


def select_class(logits: Float[Array, "n *k q"], labels: Int[Array, " n"]) -> Float[Array, "n *k"]:
    """The mask of each RoI's class, or the only mask. A label beyond all classes gives zeros."""
    if logits.shape[-1] == 1:
        return logits[..., 0]
    chosen = jnp.expand_dims(labels, range(1, logits.ndim)) == jnp.arange(logits.shape[-1])
    return jnp.where(chosen, logits, 0).sum(-1)  # its gradient is no scatter, unlike a gather's
