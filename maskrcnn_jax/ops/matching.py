"""Matching of anchors or proposals to ground truth by overlap.

Shapes: g ground-truth boxes, n anchors or proposals.
"""

from typing import NamedTuple

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
    overlaps = jnp.where(valid[:, None], overlaps, -1)
    best = overlaps.max(axis=0)
    positive = best >= positive_from
    if keep_best:
        best_of_truth = overlaps.max(axis=1, keepdims=True)
        positive |= ((overlaps == best_of_truth) & (best_of_truth > 0)).any(axis=0)
    return Matches(
        index=overlaps.argmax(axis=0),
        positive=positive,
        negative=(best < negative_below) & ~positive,
    )
