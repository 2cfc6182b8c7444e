"""From the detector's output back to the image that was given: ``evaluation.results`` on a device.

The same to the last bit, but with a fixed number of entries: those that are dropped there are not
``valid`` here, and all zeros.

Shapes: d detections, k l sides of a predicted mask, i j of one that is pasted, h w image size.
"""

from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.ops.paste import covered_pixels
from maskrcnn_jax.ops.rounding import rounded
from maskrcnn_jax.structures import Detections

# Whole masks of the image, bool [d, h, w], or probabilities [d, i, j] over rectangles of it.
MaskForm: TypeAlias = Literal["pasted", "crops"]


def in_original_frame(
    found: Detections,
    *,
    resized: Size,
    original: Size,
    paste: Literal["exact", "whole_pixels"],
    mask_form: MaskForm,
) -> dict[str, Array]:
    """The detections of one image (no batch axis) by name; ``docs/export.md`` says what they are.

    ``resized`` is the size of the real pixels that the network saw, ``original`` that of the image.
    """
    (height, width), (resized_height, resized_width) = original, resized
    scale = np.tile([width / resized_width, height / resized_height], 2)
    scale = scale.astype(found.boxes.dtype)
    boxes = jnp.clip(found.boxes * scale, 0, np.array([width, height, width, height], scale.dtype))
    valid = found.valid & (boxes[:, 2:] > boxes[:, :2]).all(-1)
    outputs = {
        "boxes": jnp.where(valid[:, None], boxes, 0),
        "scores": jnp.where(valid, found.scores, 0),
        "classes": jnp.where(valid, found.labels, 0).astype(jnp.int32),
        "valid": valid,
    }
    if found.masks.shape[-1] == 0:
        return outputs
    outputs["mask_scores"] = jnp.where(valid, found.mask_scores, 0)
    masks, frames = found.masks, rounded(found.mask_frames * scale)
    if paste == "whole_pixels":
        masks, frames = in_whole_pixels(masks, frames)
    if mask_form == "pasted":
        pasted = covered_pixels(masks, frames, valid=valid, height=height, width=width)
        return outputs | {"masks": pasted}
    return outputs | {
        "masks": jnp.where(valid[:, None, None], masks, 0),
        "mask_frames": jnp.where(valid[:, None], frames, 0),
    }


def in_whole_pixels(
    masks: Float[Array, "d k l"], boxes: Float[Array, "d 4"]
) -> tuple[Float[Array, "d i j"], Float[Array, "d 4"]]:
    """As ``evaluation.results.in_whole_pixels``."""
    sides = np.array(masks.shape[:0:-1])
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    half = rounded(half * ((sides + 2) / sides).astype(boxes.dtype))
    low, high = jnp.trunc(centre - half), jnp.trunc(centre + half)
    frames = jnp.concatenate([low, jnp.maximum(high, low) + 1], axis=-1)
    return jnp.pad(masks, ((0, 0), (1, 1), (1, 1))), frames
