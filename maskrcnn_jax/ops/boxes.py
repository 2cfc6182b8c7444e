"""Boxes: area, overlap, clipping, and the R-CNN box coder.

Shapes: n m boxes; #n may also be 1 and is then broadcast.
Boxes are XYXY, continuous, width x2 - x1 (no +1).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Larger predicted log-scales are clamped: a box grows at most from 16 to 1000 pixels
# (Detectron2 box_regression.py, torchvision _utils.BoxCoder).
MAX_LOG_SCALE = math.log(1000.0 / 16)


def area(boxes: Float[Array, "*n 4"]) -> Float[Array, "*n"]:
    """Areas of boxes; a box with x2 < x1 or y2 < y1 counts as empty."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return jnp.maximum(width, 0) * jnp.maximum(height, 0)


def intersection(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Areas that each pair of boxes has in common."""
    top_left = jnp.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = jnp.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = jnp.maximum(bottom_right - top_left, 0)
    return sides[..., 0] * sides[..., 1]


def iou(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Intersection over union of each pair; 0 where both boxes are empty."""
    common = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - common
    return jnp.where(common > 0, common / jnp.where(union > 0, union, 1), 0)


def clip(boxes: Float[Array, "*n 4"], height: Array, width: Array) -> Float[Array, "*n 4"]:
    """Boxes cut at the borders of an image of (height, width); both may be traced scalars."""
    limits = jnp.stack([width, height, width, height]).astype(boxes.dtype)
    return jnp.clip(boxes, 0, limits)


def is_nonempty(boxes: Float[Array, "*n 4"], *, min_side: float = 0.0) -> Bool[Array, "*n"]:
    """True for finite boxes with both sides above zero and not below ``min_side``."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return jnp.isfinite(boxes).all(-1) & ((sides > 0) & (sides >= min_side)).all(-1)


def encode(
    boxes: Float[Array, "*#n 4"],
    anchors: Float[Array, "*#n 4"],
    weights: tuple[float, float, float, float],
) -> Float[Array, "*n 4"]:
    """Deltas (dx, dy, dw, dh) that take ``anchors`` to ``boxes`` (Fast R-CNN, eq. 1-2).

    Entries whose box or anchor has no area give 0, so that padding stays finite.
    """
    centre_a, size_a = _centre_and_size(anchors)
    centre_b, size_b = _centre_and_size(boxes)
    ok = ((size_a > 0) & (size_b > 0)).all(-1, keepdims=True)
    safe_a, safe_b = jnp.where(ok, size_a, 1), jnp.where(ok, size_b, 1)
    deltas = jnp.concatenate([(centre_b - centre_a) / safe_a, jnp.log(safe_b / safe_a)], -1)
    return jnp.where(ok, deltas, 0) * jnp.asarray(weights, deltas.dtype)


def decode(
    deltas: Float[Array, "*#n 4"],
    anchors: Float[Array, "*#n 4"],
    weights: tuple[float, float, float, float],
    *,
    limit_shrinking: bool = False,
) -> Float[Array, "*n 4"]:
    """Inverse of ``encode``; dw and dh are clamped above at ``MAX_LOG_SCALE``.

    With ``limit_shrinking`` also below, at its negative (MMDetection delta_xywh_bbox_coder.py).
    """
    deltas = deltas / jnp.asarray(weights, deltas.dtype)
    centre_a, size_a = _centre_and_size(anchors)
    centre = deltas[..., :2] * size_a + centre_a
    log_scale = jnp.minimum(deltas[..., 2:], MAX_LOG_SCALE)
    if limit_shrinking:
        log_scale = jnp.maximum(log_scale, -MAX_LOG_SCALE)
    size = jnp.exp(log_scale) * size_a
    return jnp.concatenate([centre - 0.5 * size, centre + 0.5 * size], -1)


def _centre_and_size(boxes: Array) -> tuple[Array, Array]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size
