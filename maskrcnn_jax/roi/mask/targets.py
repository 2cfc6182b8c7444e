"""What the mask of a sampled RoI should be, for one image.

Shapes: g ground-truth objects, m n bitmap size, s samples, k side of the target, p points of a
sample, l pixels of all bitmaps together.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.ops.point_sampling import in_boxes, sample_points
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
    pixels, boxes, maps = _in_bitmaps(truth, positives)
    averages = roi_align(
        pixels,
        boxes,
        maps,
        output_size=side,
        samples_per_cell=None,
        half_pixel=config.half_pixel,
        # A sampled positive box reaches at most twice its object's box (IoU >= 0.5), and that box
        # at most three times the mask's frame. Of masks still smaller than their boxes, and in
        # refined boxes that have become larger (``masks_on_refined_boxes``), a part is missed.
        longest_side=6 * max(truth.masks.shape[-2:]),
    )[..., 0]
    targets = averages if config.soft else (averages >= 0.5).astype(averages.dtype)
    return jnp.where(positives.valid[:, None, None], targets, 0)


def point_targets(
    truth: GroundTruth, positives: Samples, points: Float[Array, "s p 2"]
) -> Float[Array, "s p"]:
    """The matched object's mask at ``points`` relative to each sample's box, in [0, 1].

    Bilinear and not cut at one half, as in Detectron2 (PointRend ``sample_point_labels``) and
    MMDetection; outside its frame a mask is empty. Invalid samples are empty.
    """
    pixels, boxes, maps = _in_bitmaps(truth, positives)
    targets = sample_points(pixels, in_boxes(points, boxes), maps)[..., 0]
    return jnp.where(positives.valid[:, None], targets, 0)


def _in_bitmaps(
    truth: GroundTruth, positives: Samples
) -> tuple[Float[Array, "l 1"], Float[Array, "s 4"], Maps]:
    """All bitmaps in a list, where in it each sample's own one is, and its box in pixels of that.

    The boxes of invalid samples, and of bitmaps that cover nothing, lie outside.
    """
    height, width = truth.masks.shape[-2:]
    boxes, matched = positives.boxes, positives.matched
    frames = truth.mask_frames[matched]
    size = frames[:, 2:] - frames[:, :2]
    usable = positives.valid & (size > 0).all(-1)
    scale = jnp.asarray([width, height], boxes.dtype) / jnp.where(usable[:, None], size, 1)
    boxes = (boxes - jnp.tile(frames[:, :2], 2)) * jnp.tile(scale, 2)
    maps = Maps(
        offset=matched.astype(jnp.int32) * (height * width),
        height=jnp.full(matched.shape, height),
        width=jnp.full(matched.shape, width),
    )
    pixels = truth.masks.reshape(-1, 1).astype(boxes.dtype)
    return pixels, jnp.where(usable[:, None], boxes, -2), maps


def object_share(truth: GroundTruth, positives: Samples) -> Float[Array, " s"]:
    """How much of the matched object's area is inside each sample's box, from 0 to 1.

    Of a pixel that the border of the box cuts, a part counts. 0 for invalid samples and for objects
    without area.
    """
    height, width = truth.masks.shape[-2:]
    x1, y1, x2, y2 = _in_bitmaps(truth, positives)[1].T
    masks = truth.masks[positives.matched].astype(positives.boxes.dtype)
    rows, columns = _covered(y1, y2, height), _covered(x1, x2, width)
    highest = jax.lax.Precision.HIGHEST
    inside = jnp.einsum("sm,smn,sn->s", rows, masks, columns, precision=highest)
    area = masks.sum((-1, -2))
    return jnp.where(positives.valid & (area > 0), inside / jnp.maximum(area, 1), 0)


def _covered(low: Array, high: Array, pixels: int) -> Array:
    """[s, pixels]: how much of each pixel of an axis is between low and high."""
    start = jnp.arange(pixels, dtype=low.dtype)
    return jnp.clip(jnp.minimum(high[:, None], start + 1) - jnp.maximum(low[:, None], start), 0, 1)
