"""Non-maximum suppression, exact at every threshold, with static shapes.

The greedy definition: from the best score down, keep a box unless a kept one of the same label
overlaps it by more than the threshold. Two facts make it parallel. Only better boxes decide about
a box, so boxes can be handled in blocks from the best down, and the work ends when enough are
kept; the rest need not even be sorted. Inside a block, "kept = not suppressed by a kept, better
box" has exactly one solution, and iterating it reaches that solution after as many rounds as the
longest chain of suppressions (in practice under ten), because a box is settled one round after all
better boxes are.

Shapes: n candidates, k outputs, m of the candidates.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops

_BLOCK = 512  # a block's overlap matrix is one of 1 MB
# Of many candidates few are looked at, and these are found many times faster than all are sorted.
_SORTED_FIRST = 8 * _BLOCK


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
    each other. Boxes that are not valid or score NaN are never kept and suppress nothing.
    """
    n = boxes.shape[0]
    num_outputs = min(num_outputs, n)
    valid = valid & ~jnp.isnan(scores)
    # Of 0 and -0, too, the earlier one is better; and any score is better than none.
    ranking = jnp.maximum(jnp.where(scores == 0, 0, scores), jnp.finfo(scores.dtype).min)
    ranking = jnp.where(valid, ranking, -jnp.inf)
    labels = jnp.zeros(n, jnp.int32) if labels is None else labels
    suppresses = partial(_suppresses, boxes, labels, iou_threshold=iou_threshold)
    order = jax.lax.top_k(ranking, min(_SORTED_FIRST, n))[1]
    zero = jnp.zeros((), jnp.int32)
    state = _Progress(zero, jnp.zeros(num_outputs, jnp.int32), zero, valid.sum(dtype=jnp.int32))
    state = _go_through(order, state, suppresses)
    if n > _SORTED_FIRST:

        def go_on(state: _Progress) -> _Progress:
            # The barrier keeps XLA from sorting before it is known whether that is needed.
            all_, state = jax.lax.optimization_barrier((ranking, state))
            order = jnp.argsort(-all_, stable=True).astype(jnp.int32)
            return _go_through(order, state, suppresses)

        # Done once, or not at all, under ``vmap`` too: a ``cond`` would be done there always.
        state = jax.lax.while_loop(_Progress.is_unfinished, go_on, state)
    is_kept = jnp.arange(num_outputs) < state.num_kept
    return Kept(
        indices=jnp.where(is_kept, state.kept, 0),
        scores=jnp.where(is_kept, scores[state.kept], 0),
        valid=is_kept,
    )


class _Progress(NamedTuple):
    start: Int[Array, ""]  # how many of the best candidates have been gone through
    kept: Int[Array, " k"]
    num_kept: Int[Array, ""]
    num_valid: Int[Array, ""]

    def is_unfinished(self) -> Bool[Array, ""]:
        return (self.start < self.num_valid) & (self.num_kept < len(self.kept))


def _go_through(
    order: Int[Array, " m"], state: _Progress, suppresses: Callable[[Array, Array], Array]
) -> _Progress:
    """Handles the candidates of ``order``, the best ones first, from ``state.start`` on."""
    num_outputs, block = len(state.kept), min(_BLOCK, len(order))

    def more_to_do(state: _Progress) -> Array:
        return state.is_unfinished() & (state.start < len(order))

    def next_block(state: _Progress) -> _Progress:
        rank = state.start + jnp.arange(block)
        chosen = order[jnp.minimum(rank, len(order) - 1)]
        is_kept = jnp.arange(num_outputs) < state.num_kept
        alive = (rank < jnp.minimum(state.num_valid, len(order))) & ~(
            suppresses(state.kept, chosen) & is_kept[:, None]
        ).any(axis=0)
        better = jnp.triu(suppresses(chosen, chosen), k=1)
        keep = _settle(alive, better)
        best_first = jnp.argsort(~keep, stable=True)  # those that are kept
        place = jnp.clip(jnp.arange(num_outputs) - state.num_kept, 0, block - 1)
        return _Progress(
            start=state.start + block,
            kept=jnp.where(is_kept, state.kept, chosen[best_first[place]]),
            num_kept=jnp.minimum(state.num_kept + keep.sum(dtype=jnp.int32), num_outputs),
            num_valid=state.num_valid,
        )

    return jax.lax.while_loop(more_to_do, next_block, state)


def _suppresses(boxes: Array, labels: Array, a: Array, b: Array, *, iou_threshold: float) -> Array:
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
