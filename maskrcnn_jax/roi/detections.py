"""From the box head's outputs to final boxes, for one image.

Shapes: n RoIs, k classes, k1 = k + 1 with background, q boxes of a RoI (k, or 1 if class-agnostic),
r = 4 * q deltas, c candidates, d detections.
"""

from dataclasses import dataclass, field

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.roi.suppression import AnyNMSConfig, NMSConfig
from maskrcnn_jax.structures import Detections


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """Of all boxes that score above ``score_threshold`` the best after NMS within each class.

    With ``class_agnostic_nms`` boxes of all classes suppress each other. Boxes with a side below
    ``min_side`` pixels are dropped before NMS. ``limit_shrinking`` is that of ``ops.boxes.decode``.
    """

    score_threshold: float = 0.05
    nms: AnyNMSConfig = field(default_factory=NMSConfig)
    class_agnostic_nms: bool = False
    max_detections: int = 100
    min_side: float = 0.0
    limit_shrinking: bool = False

    def __post_init__(self):
        check_options(self, max_detections=(self.max_detections >= 1, "at least 1"))


def decode_boxes(
    deltas: Float[Array, "n r"],
    boxes: Float[Array, "n 4"],
    size: Int[Array, "2"],
    *,
    weights: tuple[float, float, float, float],
    limit_shrinking: bool = False,
) -> Float[Array, "n q 4"]:
    """The refined box of each RoI for each class, clipped to the image."""
    deltas = deltas.reshape(*deltas.shape[:-1], -1, 4)
    refined = box_ops.decode(deltas, boxes[:, None], weights, limit_shrinking=limit_shrinking)
    return box_ops.clip(refined, size[0], size[1])


def detect(
    probabilities: Float[Array, "n k1"],
    boxes: Float[Array, "n _ 4"],
    valid: Bool[Array, " n"],
    *,
    config: DetectionConfig,
) -> Detections:
    """Picks the final detections; their masks have side 0 until a mask head fills them in.

    Every pair of RoI and class is a candidate. ``boxes`` has one box for each class (what comes
    after those is ignored), or one for all. RoIs with values that are not finite are left out.
    """
    num_rois, num_classes = probabilities.shape[0], probabilities.shape[1] - 1
    finite = jnp.isfinite(probabilities).all(-1) & jnp.isfinite(boxes).all((-1, -2))
    scores = probabilities[:, :num_classes]
    boxes = jnp.broadcast_to(boxes[:, :num_classes], (num_rois, num_classes, 4))
    candidates = (scores > config.score_threshold) & (valid & finite)[:, None]  # [n, k]
    if config.min_side > 0:
        candidates &= box_ops.is_nonempty(boxes, min_side=config.min_side)
    labels = jnp.tile(jnp.arange(num_classes), num_rois)
    return best_of(
        boxes.reshape(-1, 4), scores.reshape(-1), labels, candidates.reshape(-1), config=config
    )


def best_of(
    boxes: Float[Array, "c 4"],
    scores: Float[Array, " c"],
    labels: Int[Array, " c"],
    valid: Bool[Array, " c"],
    *,
    config: DetectionConfig,
) -> Detections:
    """Those of the candidates that are left by NMS, best first, without masks."""
    kept = config.nms.build()(
        boxes,
        scores,
        valid,
        labels=None if config.class_agnostic_nms else labels,
        num_outputs=config.max_detections,
    )
    boxes = jnp.where(kept.valid[:, None], boxes[kept.indices], 0)
    return Detections(
        boxes=boxes,
        scores=kept.scores,
        labels=jnp.where(kept.valid, labels[kept.indices], 0),
        masks=jnp.zeros((boxes.shape[0], 0, 0), boxes.dtype),
        mask_frames=boxes,
        mask_scores=kept.scores,
        valid=kept.valid,
    )
