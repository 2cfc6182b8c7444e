"""Matching of anchors or proposals to ground truth by overlap.

Shapes: g ground-truth boxes, n anchors or proposals.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Matches(NamedTuple):
    """``index`` is the best ground truth of each anchor, whether or not it is good enough.

    An anchor that is neither ``positive`` nor ``negative`` takes no part in training.
    """

    index: Int[Array, " n"]
    positive: Bool[Array, " n"]
    negative: Bool[Array, " n"]


def match(
    overlaps: Float[Array, "g n"],
    valid: Bool[Array, " g"],
    *,
    positive_from: float,
    negative_below: float,
    keep_best: bool,
) -> Matches:
    """Matches each of n anchors to its best ground truth (the first of equals).

    With ``keep_best`` the anchors that overlap some ground truth most (ties included) are positive
    however small that overlap is, unless it is zero; each keeps *its own* best ground truth, which
    may be another one (Detectron2 ``matcher.py``). Invalid ground truth matches nothing; without
    any, all anchors are negative.
    """
    # Written once, though it is used twice; then row by row, which takes a half of the time and of
    # the memory that reductions over the rows take on a CPU.
    overlaps = jax.lax.optimization_barrier(jnp.where(valid[:, None], overlaps, -1))
    num_truths, num_anchors = overlaps.shape
    best_of_truth = overlaps.max(axis=1)

    def look(row: Array, found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        best, index, is_kept = found
        overlap, highest = overlaps[row], best_of_truth[row]
        is_better = overlap > best
        return (
            jnp.where(is_better, overlap, best),
            jnp.where(is_better, row, index),
            is_kept | ((overlap == highest) & (highest > 0)),
        )

    nothing = (
        jnp.full(num_anchors, -1, overlaps.dtype),
        jnp.zeros(num_anchors, jnp.int32),
        jnp.zeros(num_anchors, bool),
    )
    best, index, is_kept = jax.lax.fori_loop(0, num_truths, look, nothing)
    positive = (best >= positive_from) | (keep_best & is_kept)
    return Matches(index, positive, (best < negative_below) & ~positive)
