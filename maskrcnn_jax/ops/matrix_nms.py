"""Matrix NMS: better masks lower the scores of those that they overlap (SOLOv2, section 3.4).

Shapes: n masks.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def matrix_nms(
    masks: Bool[Array, "n h w"],
    scores: Float[Array, " n"],
    labels: Int[Array, " n"],
    valid: Bool[Array, " n"],
    *,
    sigma: float,
) -> Float[Array, " n"]:
    """The lowered scores, in the same order: score_j * min_i f(iou_ij) / f(max_k iou_ki).

    i runs over the better masks of the same label and k over those better than i, with the
    gaussian f(x) = exp(-sigma x^2): a mask that is itself suppressed suppresses less. Of equal
    scores the earlier entry is better. Invalid masks change nothing, and keep their scores.
    """
    position = jnp.arange(len(scores))
    is_better = (scores[:, None] > scores[None, :]) | (
        (scores[:, None] == scores[None, :]) & (position[:, None] < position[None, :])
    )  # [i, j]
    counts = is_better & (labels[:, None] == labels[None, :]) & valid[:, None] & valid[None, :]
    squares = jnp.where(counts, jnp.square(_iou(masks, scores.dtype)), 0)
    compensation = squares.max(axis=0)
    decay = jnp.exp(sigma * (compensation[:, None] - squares)).min(axis=0, where=counts, initial=1)
    return scores * decay


def _iou(masks: Bool[Array, "n h w"], dtype: jnp.dtype) -> Float[Array, "n n"]:
    """0 for two empty masks. The areas are exact: float32 counts up to 16 million pixels."""
    pixels = masks.reshape(masks.shape[0], -1).astype(jnp.float32)
    common = (pixels @ pixels.T).astype(dtype)
    areas = jnp.diagonal(common)
    union = areas[:, None] + areas[None, :] - common
    return common / jnp.maximum(union, 1)
