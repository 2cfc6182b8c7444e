"""Pasting predicted masks into the image, and the map of instances.

Shapes: n detections, k l sides of a predicted mask, h w image size.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops


def paste_masks(
    masks: Float[Array, "n k l"],
    boxes: Float[Array, "n 4"],
    *,
    valid: Bool[Array, " n"],
    height: int,
    width: int,
) -> Float[Array, "n h w"]:
    """Probabilities of ``masks`` stretched over ``boxes``, seen at the centres of the pixels.

    Bilinear, with zeros outside the mask, so that a mask fades over half a cell on either side of
    its box's border (Detectron2, layers/mask_ops.py: ``grid_sample`` with ``align_corners=False``).
    A pixel belongs to the object where the result is >= 0.5. Bilinear weights are separable, hence
    two small matrix products; they run in full precision because a threshold follows.
    Invalid entries and boxes without area give zeros.
    """
    drawn = valid & box_ops.is_nonempty(boxes)
    masks = jnp.where(drawn[:, None, None], masks, 0)
    boxes = jnp.where(drawn[:, None], boxes, jnp.array([[0, 0, 1, 1]], boxes.dtype))
    rows = _bilinear_weights(boxes[:, 1], boxes[:, 3], cells=masks.shape[1], pixels=height)
    columns = _bilinear_weights(boxes[:, 0], boxes[:, 2], cells=masks.shape[2], pixels=width)
    return jnp.einsum("nyi,nij,nxj->nyx", rows, masks, columns, precision=jax.lax.Precision.HIGHEST)


def instance_map(
    masks: Bool[Array, "n h w"], scores: Float[Array, " n"], *, valid: Bool[Array, " n"]
) -> Int[Array, "h w"]:
    """Which detection each pixel belongs to: 0 is background, i + 1 detection i.

    Where masks overlap the higher score wins; among equal scores the earlier entry.
    """
    num_detections = masks.shape[0]
    order = jnp.argsort(-scores, stable=True)
    rank = jnp.argsort(order)
    ranks = jnp.where(masks & valid[:, None, None], rank[:, None, None], num_detections)
    best = ranks.min(axis=0, initial=num_detections)
    return jnp.append(order + 1, 0).astype(jnp.int32)[best]


def _bilinear_weights(
    low: Float[Array, " n"], high: Float[Array, " n"], *, cells: int, pixels: int
) -> Float[Array, "n pixels cells"]:
    """What each of ``cells`` spread over [low, high] gives to the centre of each pixel."""
    cell = (high - low)[:, None] / cells
    centres = jnp.arange(pixels, dtype=low.dtype) + 0.5
    position = (centres[None, :] - low[:, None]) / cell - 0.5
    distance = position[:, :, None] - jnp.arange(cells, dtype=low.dtype)[None, None, :]
    return jnp.maximum(0, 1 - jnp.abs(distance))
