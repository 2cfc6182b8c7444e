"""What RoI heads of several stages share: how stages differ, and how boxes go from one to the next.

Shapes: b images, n RoIs of an image, k1 classes with background.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from maskrcnn_jax.errors import InputError, check_options
from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.roi.box_head import BoxHeadConfig
from maskrcnn_jax.roi.detections import DetectionConfig, decode_boxes, detect
from maskrcnn_jax.roi.sampling import RoISamplingConfig
from maskrcnn_jax.structures import Detections, Proposals


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """A stage after the first: what it does otherwise. ``loss_weight`` is for all its losses."""

    positive_from: float
    box_weights: tuple[float, float, float, float]
    loss_weight: float = 1.0

    def __post_init__(self):
        check_options(self, positive_from=(0 <= self.positive_from <= 1, "between 0 and 1"))


class Stage(NamedTuple):
    """One stage, the first included. ``number`` counts from 0."""

    number: int
    sampling: RoISamplingConfig
    box: BoxHeadConfig
    loss_weight: float

    def named(self, losses: dict[str, LossTerm]) -> dict[str, LossTerm]:
        """The stage's losses, weighted; their names end in its number."""
        return {
            f"{name}_{self.number}": term.weighted(self.loss_weight)
            for name, term in losses.items()
        }


def all_stages(
    sampling: RoISamplingConfig, box: BoxHeadConfig, refinements: Sequence[RefinementConfig]
) -> tuple[Stage, ...]:
    """The first stage, which ``sampling`` and ``box`` describe, and those that depart from it."""
    later = (
        Stage(
            number,
            dataclasses.replace(sampling, positive_from=refinement.positive_from),
            dataclasses.replace(box, box_weights=refinement.box_weights),
            refinement.loss_weight,
        )
        for number, refinement in enumerate(refinements, start=1)
    )
    return (Stage(0, sampling, box, 1.0), *later)


def require_one_box(box: BoxHeadConfig) -> None:
    """Raises InputError for a box head with a box for each class."""
    if not box.class_agnostic:
        raise InputError(
            "roi.box.class_agnostic is False, but a cascade hands one box of each RoI from "
            "stage to stage: set it to True"
        )


def refine(
    deltas: Float[Array, "b n 4"],
    boxes: Float[Array, "b n 4"],
    sizes: Int[Array, "b 2"],
    *,
    stage: Stage,
    limit_shrinking: bool,
) -> Float[Array, "b n 4"]:
    """The boxes that a stage hands on, clipped to their images. No gradient flows through them."""
    decode = partial(decode_boxes, weights=stage.box.box_weights, limit_shrinking=limit_shrinking)
    return jax.lax.stop_gradient(jax.vmap(decode)(deltas, boxes, sizes)[..., 0, :])


def detect_in_stages(
    look: Callable[[Float[Array, "b n 4"], Stage], tuple[Array, Array]],
    proposals: Proposals,
    sizes: Int[Array, "b 2"],
    *,
    stages: Sequence[Stage],
    averaged: Literal["probabilities", "logits"],
    config: DetectionConfig,
) -> Detections:
    """Boxes of the last stage after NMS, with the scores of all stages.

    ``look(boxes, stage)`` is what the stage's box head says of boxes: class logits and deltas.
    """
    boxes, outputs = proposals.boxes, []
    for stage in stages:
        logits, deltas = look(boxes, stage)
        outputs.append(logits)
        boxes = refine(deltas, boxes, sizes, stage=stage, limit_shrinking=config.limit_shrinking)
    probabilities = _average_classes(outputs, averaged=averaged)
    return jax.vmap(partial(detect, config=config))(
        probabilities, boxes[:, :, None], proposals.valid
    )


def _average_classes(
    logits: Sequence[Float[Array, "b n k1"]], *, averaged: Literal["probabilities", "logits"]
) -> Float[Array, "b n k1"]:
    """Class probabilities from the logits of all stages."""
    if averaged == "logits":
        return jax.nn.softmax(jnp.stack(logits).mean(0))
    return jax.nn.softmax(jnp.stack(logits)).mean(0)


def average_masks(found: Sequence[Detections]) -> Detections:
    """The same detections, with the averages of masks and mask scores that several heads found.

    Where no head judges masks, their scores stay exactly those of the boxes.
    """
    first = found[0]
    masks = jnp.stack([one.masks for one in found]).mean(0)
    changes = jnp.stack([one.mask_scores - first.scores for one in found]).mean(0)
    return dataclasses.replace(first, masks=masks, mask_scores=first.scores + changes)
