"""Which proposals train the second stage, for one image.

Shapes: p proposals, g ground-truth objects, s samples.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.matching import match
from maskrcnn_jax.ops.subsampling import subsample
from maskrcnn_jax.structures import GroundTruth, Proposals, Samples


@dataclass(frozen=True, kw_only=True)
class RoISamplingConfig:
    """Positives overlap an object by at least ``positive_from``; all others are background."""

    num_samples: int = 512
    positive_fraction: float = 0.25
    positive_from: float = 0.5

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
    matches = match(
        box_ops.iou(truth.boxes, boxes),
        truth.valid,
        positive_from=config.positive_from,
        negative_below=config.positive_from,
        keep_best=False,
    )
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


def only_positives(samples: Samples, *, num_classes: int, config: RoISamplingConfig) -> Samples:
    """The entries of a batch of samples that can be positive, valid where they are."""
    samples = jax.tree.map(lambda x: x[:, : config.max_positives], samples)
    positive = samples.valid & (samples.labels < num_classes)
    return dataclasses.replace(samples, valid=positive)
