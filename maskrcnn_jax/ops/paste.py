"""Pasting predicted masks into the image, and the map of instances.

Shapes: n detections, k l sides of a predicted mask, h w image size.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.rounding import rounded

# A pixel belongs to an object from this probability on.
MASK_THRESHOLD = 0.5


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
    Bilinear weights are separable, hence two small matrix products; they run in full precision
    because a threshold follows. Invalid entries and boxes without area give zeros.
    """
    masks, boxes = _drawn(masks, boxes, valid)
    rows = _bilinear_weights(boxes[:, 1], boxes[:, 3], cells=masks.shape[1], pixels=height)
    columns = _bilinear_weights(boxes[:, 0], boxes[:, 2], cells=masks.shape[2], pixels=width)
    return jnp.einsum("nyi,nij,nxj->nyx", rows, masks, columns, precision=jax.lax.Precision.HIGHEST)


def covered_pixels(
    masks: Float[Array, "n k l"],
    boxes: Float[Array, "n 4"],
    *,
    valid: Bool[Array, " n"],
    height: int,
    width: int,
) -> Bool[Array, "n h w"]:
    """The pixels that belong to each object: where ``paste_masks`` reaches ``MASK_THRESHOLD``.

    The same to the last bit on every machine, and as ``evaluation.rle.encode_pasted`` has it on the
    host: each number comes from the same operations in the same order, each rounded for itself.
    """
    masks, boxes = _drawn(masks, boxes, valid)
    columns = _stretched(masks.swapaxes(1, 2), boxes[:, 0], boxes[:, 2], pixels=width)
    pasted = _stretched(columns.swapaxes(1, 2), boxes[:, 1], boxes[:, 3], pixels=height)
    return pasted >= MASK_THRESHOLD


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


def _drawn(masks: Array, boxes: Array, valid: Array) -> tuple[Array, Array]:
    """Masks and boxes, with zeros in some box where there is nothing to draw."""
    drawn = valid & box_ops.is_nonempty(boxes)
    return (
        jnp.where(drawn[:, None, None], masks, 0),
        jnp.where(drawn[:, None], boxes, jnp.array([[0, 0, 1, 1]], boxes.dtype)),
    )


def _stretched(
    masks: Float[Array, "n k l"], low: Float[Array, " n"], high: Float[Array, " n"], *, pixels: int
) -> Float[Array, "n pixels l"]:
    """The rows of each mask, spread between low and high, at the centres of the pixels.

    Between two rows it is interpolated, and beyond the first and the last one are zeros.
    """
    rows = masks.shape[1]
    centres = jnp.arange(pixels, dtype=low.dtype) + 0.5
    step = (rows / (high - low))[:, None]
    position = jnp.clip(rounded((centres - low[:, None]) * step) - 0.5, -1, rows)
    first = jnp.floor(position)
    above = (position - first).astype(masks.dtype)[:, :, None]
    index = first.astype(jnp.int32)[:, :, None] + 1
    padded = jnp.pad(masks, ((0, 0), (1, 2), (0, 0)))
    below, upper = (jnp.take_along_axis(padded, i, axis=1) for i in (index, index + 1))
    return rounded(below * (1 - above)) + rounded(upper * above)


def _bilinear_weights(
    low: Float[Array, " n"], high: Float[Array, " n"], *, cells: int, pixels: int
) -> Float[Array, "n pixels cells"]:
    """What each of ``cells`` spread over [low, high] gives to the centre of each pixel."""
    cell = (high - low)[:, None] / cells
    centres = jnp.arange(pixels, dtype=low.dtype) + 0.5
    position = (centres[None, :] - low[:, None]) / cell - 0.5
    distance = position[:, :, None] - jnp.arange(cells, dtype=low.dtype)[None, None, :]
    return jnp.maximum(0, 1 - jnp.abs(distance))
