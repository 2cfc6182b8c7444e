"""Single operations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.inputs import Size
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops import matching
from maskrcnn_jax.ops import nms as nms_ops
from maskrcnn_jax.roi.detections import DetectionConfig, detect
from maskrcnn_jax.roi.pooling import RoIAlignConfig, pool
from maskrcnn_jax.rpn.anchors import AnchorConfig, pyramid_anchors


def roi_align(*, num_rois: int, output_size: int, size: Size, gradient: bool) -> Callable[[], Any]:
    """RoIs of all levels, two samples per cell and axis; with the gradient of the maps, or not."""
    config = RoIAlignConfig(output_size=output_size, samples_per_cell=2, half_pixel=False)
    features = jax.tree.map(lambda x: x[None], inputs.pyramid(size))
    boxes = inputs.regions(num_rois, size)[None]
    valid = np.ones(boxes.shape[:2], bool)

    upstream = inputs.upstream(num_rois, output_size)[None]

    def forward(features: Any, boxes: Any, valid: Any, upstream: Any) -> Any:
        del upstream
        return pool(features, boxes, valid, config=config)

    def both(features: Any, boxes: Any, valid: Any, upstream: Any) -> Any:
        pooled, pull_back = jax.vjp(lambda f: forward(f, boxes, valid, upstream), features)
        return pooled, pull_back(upstream)

    return _compiled(both if gradient else forward, features, boxes, valid, upstream)


def nms(*, count: int, size: Size, iou_threshold: float) -> Callable[[], Any]:
    """One class, all that is kept."""

    def keep(boxes: Any, scores: Any, valid: Any) -> Any:
        return nms_ops.nms(boxes, scores, valid, iou_threshold=iou_threshold, num_outputs=count)

    return _compiled(keep, inputs.crowd(count, size), inputs.scores(count), np.ones(count, bool))


def nms_per_class(*, num_rois: int, num_classes: int, size: Size) -> Callable[[], Any]:
    """From the box head's probabilities to a hundred detections."""
    probabilities, boxes = inputs.classified(num_rois, size, num_classes=num_classes)

    def found(probabilities: Any, boxes: Any) -> Any:
        return detect(probabilities, boxes, jnp.ones(num_rois, bool), config=DetectionConfig())

    return _compiled(found, probabilities, boxes)


def match(*, num_objects: int, size: Size) -> Callable[[], Any]:
    """All anchors of an image to its objects."""
    levels = {level: (size[0] // 2**level, size[1] // 2**level) for level in range(2, 7)}
    anchors = np.concatenate(list(pyramid_anchors(AnchorConfig(), levels).values()))

    def matches(objects: Any, anchors: Any) -> Any:
        return matching.match(
            box_ops.iou(objects, anchors),
            jnp.ones(num_objects, bool),
            positive_from=0.7,
            negative_below=0.3,
            keep_best=True,
        )

    return _compiled(matches, inputs.regions(num_objects, size), anchors.astype(np.float32))


def top_k(*, count: int, num_best: int) -> Callable[[], Any]:
    """The best anchors of a level."""
    return _compiled(lambda scores: jax.lax.top_k(scores, num_best), inputs.scores(count))


def paste(*, num_masks: int, size: Size) -> Callable[[], Any]:
    """Masks of 28 x 28 into an image, as run-length encodings. On the host."""
    boxes = inputs.regions(num_masks, size)
    masks = inputs.soft_masks(num_masks)
    height, width = size

    def encode() -> list[dict]:
        return [
            rle.encode_pasted(mask, box, height=height, width=width)
            for mask, box in zip(masks, boxes, strict=True)
        ]

    return encode


def _compiled(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    compiled = jax.jit(function)
    on_device = jax.device_put(arguments)
    return lambda: jax.block_until_ready(compiled(*on_device))
