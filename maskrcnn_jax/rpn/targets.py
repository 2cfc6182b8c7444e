"""Training targets of the RPN, for one image.

Shapes: n anchors, g ground-truth boxes, s sampled anchors.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.matching import match
from maskrcnn_jax.ops.subsampling import subsample


@dataclass(frozen=True, kw_only=True)
class AnchorSamplingConfig:
    """An anchor is positive from ``positive_from`` IoU on, negative below ``negative_below``."""

    num_samples: int = 256
    positive_fraction: float = 0.5
    positive_from: float = 0.7
    negative_below: float = 0.3

    def __post_init__(self):
        check_options(
            self,
            num_samples=(self.num_samples >= 1, "at least 1"),
            positive_fraction=(0 <= self.positive_fraction <= 1, "between 0 and 1"),
            positive_from=(0 <= self.positive_from <= 1, "between 0 and 1"),
            negative_below=(
                0 <= self.negative_below <= self.positive_from,
                f"between 0 and positive_from, {self.positive_from}",
            ),
        )


class AnchorTargets(NamedTuple):
    """Sampled anchors. ``boxes`` is the matched ground truth, of no meaning for negatives."""

    indices: Int[Array, " s"]
    positive: Bool[Array, " s"]
    valid: Bool[Array, " s"]
    boxes: Float[Array, "s 4"]


def anchor_targets(
    anchors: Float[Array, "n 4"],
    truth_boxes: Float[Array, "g 4"],
    truth_valid: Bool[Array, " g"],
    key: PRNGKeyArray,
    *,
    config: AnchorSamplingConfig,
) -> AnchorTargets:
    """Matches and samples anchors; all anchors take part, also those that leave the image."""
    matches = match(
        box_ops.iou(truth_boxes, anchors),
        truth_valid,
        positive_from=config.positive_from,
        negative_below=config.negative_below,
        keep_best=True,
    )
    chosen = subsample(
        matches.positive,
        matches.negative,
        key,
        num_samples=config.num_samples,
        max_positives=int(config.num_samples * config.positive_fraction),
    )
    return AnchorTargets(
        indices=chosen.indices,
        positive=chosen.positive,
        valid=chosen.valid,
        boxes=jnp.where(chosen.positive[:, None], truth_boxes[matches.index[chosen.indices]], 0),
    )
