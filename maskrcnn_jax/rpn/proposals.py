"""Proposals from the RPN's outputs, for one image.

Shapes: n anchors or candidates of a level, l levels, p proposals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.nms import nms
from maskrcnn_jax.structures import Proposals

BOX_WEIGHTS = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ProposalConfig:
    """``before_nms`` boxes of each level enter NMS; the ``after_nms`` best of all levels leave.

    Boxes with a side below ``min_side`` pixels are dropped, those without area always.
    ``limit_shrinking`` is that of ``ops.boxes.decode``.
    """

    before_nms: int
    after_nms: int
    iou_threshold: float = 0.7
    min_side: float = 0.0
    limit_shrinking: bool = False

    def __post_init__(self):
        check_options(
            self,
            before_nms=(self.before_nms >= 1, "at least 1"),
            after_nms=(self.after_nms >= 1, "at least 1"),
            iou_threshold=(0 <= self.iou_threshold <= 1, "between 0 and 1"),
        )


def propose(
    logits: Mapping[int, Float[Array, " n"]],
    deltas: Mapping[int, Float[Array, "n 4"]],
    anchors: Mapping[int, Float[Array, "n 4"]],
    size: Int[Array, "2"],
    *,
    config: ProposalConfig,
) -> Proposals:
    """The best boxes of all levels, clipped to the image's real ``size``; no gradient flows back.

    Boxes that are not finite or have no area after clipping are dropped before NMS, which treats
    every level for itself (Detectron2 ``find_top_rpn_proposals``).
    """
    logits, deltas = jax.lax.stop_gradient((logits, deltas))
    counts = {level: min(config.before_nms, len(logits[level])) for level in sorted(logits)}
    longest = max(counts.values())

    def best_of_level(level: int) -> tuple[Array, Array, Array]:
        scores, best = jax.lax.top_k(logits[level], counts[level])
        return scores, deltas[level][best], anchors[level][best]

    # Filled up to one length, all levels are one program and one loop. What fills up has no area.
    levels = [[_filled_up(x, longest) for x in best_of_level(level)] for level in counts]
    best = _Candidates(*(jnp.stack(x) for x in zip(*levels, strict=True)))
    boxes = box_ops.decode(
        best.deltas, best.anchors, BOX_WEIGHTS, limit_shrinking=config.limit_shrinking
    )
    finite = jnp.isfinite(boxes).all(-1) & jnp.isfinite(best.scores)
    boxes = box_ops.clip(jnp.where(finite[..., None], boxes, 0), size[0], size[1])
    valid = finite & box_ops.is_nonempty(boxes, min_side=config.min_side)
    threshold, after = config.iou_threshold, config.after_nms
    suppress = jax.vmap(partial(nms, iou_threshold=threshold, num_outputs=after))
    kept = suppress(boxes, best.scores, valid)
    boxes = jnp.take_along_axis(boxes, kept.indices[..., None], axis=1).reshape(-1, 4)
    scores, is_kept = kept.scores.reshape(-1), kept.valid.reshape(-1)
    count = min(after, sum(counts.values()))
    first = jax.lax.top_k(jnp.where(is_kept, scores, -jnp.inf), count)[1]
    return Proposals(boxes=boxes[first], scores=scores[first], valid=is_kept[first])


class _Candidates(NamedTuple):
    """Of all levels; each has the same number, best first."""

    scores: Float[Array, "l n"]
    deltas: Float[Array, "l n 4"]
    anchors: Float[Array, "l n 4"]


def _filled_up(x: Shaped[Array, "n ..."], length: int) -> Shaped[Array, "{length} ..."]:
    return jnp.pad(x, [(0, length - len(x)), *[(0, 0)] * (x.ndim - 1)])
