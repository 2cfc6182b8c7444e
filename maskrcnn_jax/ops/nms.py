"""Non-maximum suppression, exact at every threshold, with static shapes.

The greedy definition: from the best score down, keep a box unless a kept one of the same label
overlaps it by more than the threshold. Two facts make it parallel. Only better boxes decide about
a box, so boxes can be handled in blocks from the best down, and the work ends when enough are
kept. Inside a block, "kept = not suppressed by a kept, better box" has exactly one solution, and
iterating it reaches that solution after as many rounds as the longest chain of suppressions (in
practice under ten), because a box is settled one round after all better boxes are.

Shapes: n candidates, k outputs, m candidates in a block.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops

_BLOCK = 1024  # a block's overlap matrix stays within 4 MB


class Kept(NamedTuple):
    """Indices and scores of the kept boxes, best first. Entries that are not ``valid`` are 0."""

    indices: Int[Array, " k"]
    scores: Float[Array, " k"]
    valid: Bool[Array, " k"]


def nms(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, " n"],
    valid: Bool[Array, " n"],
    *,
    iou_threshold: float,
    num_outputs: int,
    labels: Int[Array, " n"] | None = None,
) -> Kept:
    """Keeps the best ``num_outputs`` boxes that no kept, better box overlaps too much.

    Of equal scores the earlier entry is better. With ``labels`` only boxes of one label suppress
    each other. Invalid boxes are never kept and suppress nothing.
    """
    n = boxes.shape[0]
    num_outputs, block = min(num_outputs, n), min(_BLOCK, n)
    labels = jnp.zeros(n, jnp.int32) if labels is None else labels
    order = jnp.lexsort((-scores, ~valid))  # the valid ones first, then by score; stable
    num_valid = valid.sum()

    def more_to_do(state):
        start, _, num_kept = state
        return (start < num_valid) & (num_kept < num_outputs)

    def next_block(state):
        start, kept, num_kept = state
        rank = start + jnp.arange(block)
        chosen = order[jnp.minimum(rank, n - 1)]
        is_kept = jnp.arange(num_outputs) < num_kept
        alive = (rank < num_valid) & ~(
            _suppresses(boxes, labels, kept, chosen, iou_threshold) & is_kept[:, None]
        ).any(axis=0)
        better = jnp.triu(_suppresses(boxes, labels, chosen, chosen, iou_threshold), k=1)
        keep = _settle(alive, better)
        best_first = jnp.argsort(~keep, stable=True)  # those that are kept
        new = chosen[best_first[jnp.clip(jnp.arange(num_outputs) - num_kept, 0, block - 1)]]
        kept = jnp.where(is_kept, kept, new)
        return start + block, kept, jnp.minimum(num_kept + keep.sum(), num_outputs)

    zero = jnp.zeros((), num_valid.dtype)
    state = (zero, jnp.zeros(num_outputs, order.dtype), zero)
    _, kept, num_kept = jax.lax.while_loop(more_to_do, next_block, state)
    is_kept = jnp.arange(num_outputs) < num_kept
    return Kept(
        indices=jnp.where(is_kept, kept, 0),
        scores=jnp.where(is_kept, scores[kept], 0),
        valid=is_kept,
    )


def _suppresses(boxes: Array, labels: Array, a: Array, b: Array, iou_threshold: float) -> Array:
    """[len(a), len(b)]: box a[i] and box b[j] share a label and overlap too much."""
    overlaps = box_ops.iou(boxes[a], boxes[b])
    return (overlaps > iou_threshold) & (labels[a][:, None] == labels[b][None, :])


def _settle(alive: Bool[Array, " m"], better: Bool[Array, "m m"]) -> Bool[Array, " m"]:
    """Solves keep[j] = alive[j] and no i with keep[i] and better[i, j], for i < j."""

    def changed(state):
        keep, previous = state
        return (keep != previous).any()

    def refine(state):
        keep, _ = state
        return alive & ~(better & keep[:, None]).any(axis=0), keep

    keep, _ = jax.lax.while_loop(changed, refine, (alive, jnp.zeros_like(alive)))
    return keep
