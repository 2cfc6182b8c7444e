"""Soft-NMS (Bodla et al., 2017): overlapping boxes lose score instead of being dropped.

The definition is sequential: take the best box, lower the scores of all that are left by how much
they overlap it, repeat. A later choice depends on the scores that earlier ones have lowered, so it
is done one output after the other; each round is one pass over all candidates.

Shapes: n candidates, k outputs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.nms import Kept

# From the overlaps with a kept box to what the scores are multiplied by.
Decay = Callable[[Float[Array, " n"]], Float[Array, " n"]]


def soft_nms(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, " n"],
    valid: Bool[Array, " n"],
    *,
    decay: Decay,
    min_score: float,
    num_outputs: int,
    labels: Int[Array, " n"] | None = None,
) -> Kept:
    """The ``num_outputs`` best boxes, with scores that better boxes have lowered.

    Ends with the first box below ``min_score``. Of equal scores the earlier entry is better. With
    ``labels`` only boxes of one label lower each other's scores. Invalid boxes, and those with a
    score of NaN, are never kept and lower nothing.
    """
    num_outputs = min(num_outputs, boxes.shape[0])
    labels = jnp.zeros(boxes.shape[0], jnp.int32) if labels is None else labels
    valid &= ~jnp.isnan(scores)
    boxes = jnp.where(valid[:, None], boxes, 0)
    nothing = Kept(
        indices=jnp.zeros(num_outputs, jnp.int32),
        scores=jnp.zeros(num_outputs, scores.dtype),
        valid=jnp.zeros(num_outputs, bool),
    )
    if num_outputs == 0:
        return nothing

    def more_to_do(state):
        number, left, _ = state
        return (number < num_outputs) & (left.max() >= min_score)

    def take_best(state):
        number, left, kept = state
        best = left.argmax()
        kept = Kept(
            indices=kept.indices.at[number].set(best),
            scores=kept.scores.at[number].set(left[best]),
            valid=kept.valid.at[number].set(True),
        )
        overlaps = box_ops.iou(boxes[best][None], boxes)[0]
        lowered = (labels == labels[best]) & (left > -jnp.inf)
        left = jnp.where(lowered, left * decay(overlaps), left)
        return number + 1, left.at[best].set(-jnp.inf), kept

    state = (jnp.zeros((), jnp.int32), jnp.where(valid, scores, -jnp.inf), nothing)
    return jax.lax.while_loop(more_to_do, take_best, state)[2]


def linear_decay(overlaps: Float[Array, " n"], *, iou_threshold: float) -> Float[Array, " n"]:
    """1 - IoU above the threshold, 1 up to it (eq. 3 of the paper)."""
    return jnp.where(overlaps > iou_threshold, 1 - overlaps, 1)


def gaussian_decay(overlaps: Float[Array, " n"], *, sigma: float) -> Float[Array, " n"]:
    """exp(-IoU^2 / sigma) (eq. 4 of the paper)."""
    return jnp.exp(-(overlaps**2) / sigma)
