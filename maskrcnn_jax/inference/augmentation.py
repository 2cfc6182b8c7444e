"""Test-time augmentation: what several views of an image show, put together.

As in Detectron2 (``GeneralizedRCNNWithTTA``): the boxes that all views have found go through NMS
together; then every view finds masks in the boxes that are left, and the masks are averaged. The
boxes are put together in the frame of the first view, which is not mirrored: of one view alone,
they stay as they are to the last bit. IoU does not depend on the scale of an axis.

Shapes: b images, d detections of a view or of all together.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.roi.detections import DetectionConfig, best_of
from maskrcnn_jax.roi.stages import average_masks
from maskrcnn_jax.structures import Batch, Detections, Features
from maskrcnn_jax.training.sharding import DATA_AXIS

Variables: TypeAlias = dict[str, Any]


class Frame(NamedTuple):
    """How a view of an image lies: (height, width) of its real pixels, and whether mirrored."""

    size: Int[Array, "*b 2"]
    flip: Bool[Array, "*b"]


def to_first(boxes: Float[Array, "d 4"], view: Frame, first: Frame) -> Float[Array, "d 4"]:
    """Boxes of a view in the frame of the first one."""
    boxes = jnp.where(view.flip, mirrored(boxes, view.size[1]), boxes)
    return boxes * _ratio(first.size, view.size)


def from_first(boxes: Float[Array, "d 4"], view: Frame, first: Frame) -> Float[Array, "d 4"]:
    """Boxes of the first view in the frame of another."""
    boxes = boxes * _ratio(view.size, first.size)
    return jnp.where(view.flip, mirrored(boxes, view.size[1]), boxes)


def mirrored(boxes: Float[Array, "d 4"], width: Int[Array, ""]) -> Float[Array, "d 4"]:
    """Boxes in an image that is mirrored left to right."""
    x1, y1, x2, y2 = boxes.T
    return jnp.stack([width - x2, y1, width - x1, y2], axis=-1)


def merge(
    found: Sequence[Detections], frames: Sequence[Frame], *, config: DetectionConfig
) -> Detections:
    """What is left of the detections of all views of an image, in the frame of the first."""
    boxes = [to_first(one.boxes, view, frames[0]) for one, view in zip(found, frames, strict=True)]
    boxes = box_ops.clip(jnp.concatenate(boxes), *frames[0].size)
    together = jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)
    return best_of(boxes, together.scores, together.labels, together.valid, config=config)


def make_augmented_step(
    config: MaskRCNNConfig, mesh: Mesh, *, flips: Sequence[bool]
) -> Callable[[Variables, Sequence[Batch]], Detections]:
    """``(variables, views) -> detections`` in the frame of the first view, over all devices.

    ``views`` are batches of the same images, mirrored as ``flips`` says. The feature maps of all
    views are kept until their masks are found.
    """
    model, divided = config.build(), partial(_divided, mesh=mesh)
    look = divided(partial(_look, model), num_whole=1)
    merge_all = divided(jax.vmap(partial(merge, config=config.roi.detections)))
    masks_in = divided(partial(_masks_in, model), num_whole=1)
    average = divided(average_masks)

    def step(variables: Variables, views: Sequence[Batch]) -> Detections:
        frames = [
            Frame(batch.sizes, jnp.full(len(batch.sizes), flip))
            for batch, flip in zip(views, flips, strict=True)
        ]
        seen = [look(variables, batch) for batch in views]
        merged = merge_all([detections for _, detections in seen], frames)
        if not config.has_masks:
            return merged
        found = []
        for view in frames:
            features, _ = seen.pop(0)  # let go when its masks are found
            found.append(masks_in(variables, features, merged, view, frames[0]))
        return average(found)

    return step


def _look(model: Any, variables: Variables, batch: Batch) -> tuple[Features, Detections]:
    """The features of a view, and boxes without masks."""
    features = model.apply(variables, batch, method="features")
    return features, model.apply(variables, features, batch.sizes, method="detect")


def _masks_in(
    model: Any,
    variables: Variables,
    features: Features,
    merged: Detections,
    view: Frame,
    first: Frame,
) -> Detections:
    """The detections, which are in the frame of the first view, with what a view makes of them."""
    boxes = jax.vmap(from_first)(merged.boxes, view, first)
    there = dataclasses.replace(merged, boxes=boxes, mask_frames=boxes)
    found = model.apply(variables, features, there, method="masks_of")
    flip = view.flip[:, None, None, None]
    masks = jnp.where(flip, found.masks[..., ::-1], found.masks)
    return dataclasses.replace(merged, masks=masks, mask_scores=found.mask_scores)


def _divided(function: Callable[..., Any], mesh: Mesh, *, num_whole: int = 0) -> Callable[..., Any]:
    """Compiled to run on all devices: each has the first arguments whole, the others' images are
    divided over them.
    """

    def on_device(whole: tuple[Any, ...], images: tuple[Any, ...]) -> Any:
        return function(*whole, *images)

    everywhere = jax.jit(
        jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(P(), P(DATA_AXIS)),
            out_specs=P(DATA_AXIS),
            check_vma=False,
        )
    )
    return lambda *arguments: everywhere(arguments[:num_whole], arguments[num_whole:])


def _ratio(numerator: Int[Array, "2"], denominator: Int[Array, "2"]) -> Float[Array, "4"]:
    """For boxes, from sizes. Exactly 1 where they are the same."""
    ratio = numerator.astype(jnp.float32) / denominator.astype(jnp.float32)
    return jnp.tile(ratio[::-1], 2)
