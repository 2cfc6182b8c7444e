"""Proposals from the RPN's outputs, for one image.

Shapes: n anchors of a level, p proposals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

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
    levels = [
        _level_proposals(logits[level], deltas[level], anchors[level], size, config)
        for level in sorted(logits)
    ]
    boxes, scores, valid = (jnp.concatenate(x) for x in zip(*levels, strict=True))
    count = min(config.after_nms, scores.shape[0])
    best = jax.lax.top_k(jnp.where(valid, scores, -jnp.inf), count)[1]
    return jax.lax.stop_gradient(
        Proposals(boxes=boxes[best], scores=scores[best], valid=valid[best])
    )


def _level_proposals(
    logits: Array, deltas: Array, anchors: Array, size: Array, config: ProposalConfig
) -> tuple[Array, Array, Array]:
    scores, best = jax.lax.top_k(logits, min(config.before_nms, logits.shape[0]))
    boxes = box_ops.decode(
        deltas[best], anchors[best], BOX_WEIGHTS, limit_shrinking=config.limit_shrinking
    )
    finite = jnp.isfinite(boxes).all(-1) & jnp.isfinite(scores)
    boxes = box_ops.clip(jnp.where(finite[:, None], boxes, 0), size[0], size[1])
    kept = nms(
        boxes,
        scores,
        finite & box_ops.is_nonempty(boxes, min_side=config.min_side),
        iou_threshold=config.iou_threshold,
        num_outputs=config.after_nms,
    )
    return boxes[kept.indices], scores[kept.indices], kept.valid
