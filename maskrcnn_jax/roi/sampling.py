"""Which proposals train the second stage.

Functions are for one image unless they say otherwise.

Shapes: b images, p proposals, g ground-truth objects, s samples.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.matching import Matches, match
from maskrcnn_jax.ops.subsampling import subsample
from maskrcnn_jax.structures import GroundTruth, Proposals, Samples


@dataclass(frozen=True, kw_only=True)
class RoISamplingConfig:
    """Positives overlap an object by at least ``positive_from``; all others are background."""

    num_samples: int = 512
    positive_fraction: float = 0.25
    positive_from: float = 0.5

    def __post_init__(self):
        check_options(
            self,
            num_samples=(self.num_samples >= 1, "at least 1"),
            positive_fraction=(0 <= self.positive_fraction <= 1, "between 0 and 1"),
            positive_from=(0 <= self.positive_from <= 1, "between 0 and 1"),
        )

    @property
    def max_positives(self) -> int:
        return int(self.num_samples * self.positive_fraction)


def sample_rois(
    proposals: Proposals,
    truth: GroundTruth,
    key: PRNGKeyArray,
    *,
    num_classes: int,
    config: RoISamplingConfig,
) -> Samples:
    """Draws samples from the proposals and the ground-truth boxes themselves.

    The objects are appended so that the heads have positives from the first step on
    (Detectron2 ``add_ground_truth_to_proposals``).
    """
    boxes = jnp.concatenate([proposals.boxes, truth.boxes])
    valid = jnp.concatenate([proposals.valid, truth.valid])
    matches = _match(boxes, truth, positive_from=config.positive_from)
    chosen = subsample(
        matches.positive & valid,
        matches.negative & valid,
        key,
        num_samples=config.num_samples,
        max_positives=config.max_positives,
    )
    matched = matches.index[chosen.indices]
    return Samples(
        boxes=boxes[chosen.indices],
        labels=jnp.where(chosen.positive, truth.labels[matched], num_classes),
        matched=matched,
        valid=chosen.valid,
    )


def draw_rois(
    proposals: Proposals,
    truth: GroundTruth,
    keys: Key[Array, " b"],
    *,
    num_classes: int,
    config: RoISamplingConfig,
) -> Samples:
    """``sample_rois`` for a batch."""
    of_one_image = partial(sample_rois, num_classes=num_classes, config=config)
    return jax.vmap(of_one_image)(proposals, truth, keys)


def rematch(
    samples: Samples,
    refined: Float[Array, "s 4"],
    truth: GroundTruth,
    *,
    num_classes: int,
    positive_from: float,
) -> Samples:
    """The same samples with ``refined`` boxes, matched and labelled anew; none is drawn.

    Boxes that have lost their area are dropped (Detectron2 ``cascade_rcnn.py``). Positives may be
    anywhere, and more than a draw has.
    """
    matches = _match(refined, truth, positive_from=positive_from)
    return Samples(
        boxes=refined,
        labels=jnp.where(matches.positive, truth.labels[matches.index], num_classes),
        matched=matches.index,
        valid=samples.valid & box_ops.is_nonempty(refined),
    )


def refined_proposals(
    samples: Samples, refined: Float[Array, "s 4"], truth: GroundTruth
) -> Proposals:
    """Samples with ``refined`` boxes, as that from which another draw chooses.

    Left out are boxes that have lost their area and samples that were an object's own box: that box
    the draw adds again (MMDetection ``BBoxHead.refine_bboxes``, which leaves out the added objects
    alone, and not a proposal that is equal to one).
    """
    was_object = (samples.boxes == truth.boxes[samples.matched]).all(-1)
    was_object &= truth.valid[samples.matched]
    return Proposals(
        boxes=refined,
        scores=jnp.zeros_like(refined[:, 0]),
        valid=samples.valid & ~was_object & box_ops.is_nonempty(refined),
    )


def _match(boxes: Array, truth: GroundTruth, *, positive_from: float) -> Matches:
    """Every box is positive or background."""
    return match(
        box_ops.iou(truth.boxes, boxes),
        truth.valid,
        positive_from=positive_from,
        negative_below=positive_from,
        keep_best=False,
    )


def only_positives(samples: Samples, *, num_classes: int, config: RoISamplingConfig) -> Samples:
    """The entries of a batch of drawn samples that can be positive, valid where they are.

    Not for samples that were matched anew, whose positives may be anywhere.
    """
    samples = jax.tree.map(lambda x: x[:, : config.max_positives], samples)
    positive = samples.valid & (samples.labels < num_classes)
    return dataclasses.replace(samples, valid=positive)
