"""What the mask of a sampled RoI should be, for one image.

Shapes: g ground-truth objects, m n bitmap size, s samples, k side of the target.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.ops.roi_align import roi_align
from maskrcnn_jax.ops.sampling_grid import Maps
from maskrcnn_jax.structures import GroundTruth, Samples


@dataclass(frozen=True, kw_only=True)
class MaskTargetConfig:
    """Detectron2 cuts the averages at one half; torchvision leaves them ``soft``.

    ``half_pixel`` is RoIAlign's, see ``RoIAlignConfig``.
    """

    soft: bool = False
    half_pixel: bool = True


def mask_targets(
    truth: GroundTruth, positives: Samples, *, side: int, config: MaskTargetConfig
) -> Float[Array, "s k k"]:
    """The matched object's mask inside each sample's box, at ``side`` x ``side``.

    The bitmap is averaged over each cell as RoIAlign does, with adaptive samples. Invalid samples
    are empty.
    """
    height, width = truth.masks.shape[-2:]
    matched, valid = positives.matched, positives.valid
    pixels = truth.masks.reshape(-1, 1).astype(positives.boxes.dtype)
    maps = Maps(
        offset=matched.astype(jnp.int32) * (height * width),
        height=jnp.full(matched.shape, height),
        width=jnp.full(matched.shape, width),
    )
    averages = roi_align(
        pixels,
        _in_bitmap(positives.boxes, truth.mask_frames[matched], valid, height, width),
        maps,
        output_size=side,
        samples_per_cell=None,
        half_pixel=config.half_pixel,
        # A positive box reaches at most twice its object's box (IoU >= 0.5), and that box at most
        # three times the mask's frame; of masks still smaller than their boxes a part is missed.
        longest_side=6 * max(height, width),
    )[..., 0]
    targets = averages if config.soft else (averages >= 0.5).astype(averages.dtype)
    return jnp.where(valid[:, None, None], targets, 0)


def _in_bitmap(boxes: Array, frames: Array, valid: Array, height: int, width: int) -> Array:
    """Boxes in pixels of the bitmaps that cover ``frames``."""
    size = frames[:, 2:] - frames[:, :2]
    usable = valid & (size > 0).all(-1)
    scale = jnp.asarray([width, height], boxes.dtype) / jnp.where(usable[:, None], size, 1)
    origin = jnp.tile(frames[:, :2], 2)
    return jnp.where(usable[:, None], (boxes - origin) * jnp.tile(scale, 2), 0)


def object_share(truth: GroundTruth, positives: Samples) -> Float[Array, " s"]:
    """How much of the matched object's area is inside each sample's box, from 0 to 1.

    Of a pixel that the border of the box cuts, a part counts. 0 for invalid samples and for objects
    without area.
    """
    height, width = truth.masks.shape[-2:]
    matched, valid = positives.matched, positives.valid
    frames = truth.mask_frames[matched]
    x1, y1, x2, y2 = _in_bitmap(positives.boxes, frames, valid, height, width).T
    masks = truth.masks[matched].astype(positives.boxes.dtype)
    rows, columns = _covered(y1, y2, height), _covered(x1, x2, width)
    highest = jax.lax.Precision.HIGHEST
    inside = jnp.einsum("sm,smn,sn->s", rows, masks, columns, precision=highest)
    area = masks.sum((-1, -2))
    return jnp.where(valid & (area > 0), inside / jnp.maximum(area, 1), 0)


def _covered(low: Array, high: Array, pixels: int) -> Array:
    """[s, pixels]: how much of each pixel of an axis is between low and high."""
    start = jnp.arange(pixels, dtype=low.dtype)
    return jnp.clip(jnp.minimum(high[:, None], start + 1) - jnp.maximum(low[:, None], start), 0, 1)
