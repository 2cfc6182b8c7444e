"""The structures that flow through the detector. Units and frames are defined here, once.

Shapes: b images, h w padded image size, g ground-truth slots, m n ground-truth bitmap size,
y x size of a semantic map, p proposals, s sampled RoIs, d detections, k l sides of a predicted
mask.

Every structure is written for a batch; functions for one image see it without the leading b
(``jax.vmap`` takes it away).

* Boxes are XYXY, float32, continuous pixels of the padded network input: x1 is the left edge,
  x2 - x1 the width (no +1), pixel i covers [i, i + 1].
* Labels are in [0, K). Background is the last logit, K, and exists only inside the box head.
* ``valid`` is True for real entries. What lies under False may be garbage and changes nothing.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

SEMANTIC_STRIDE = 8  # pixels of the input from cell to cell of a semantic map
UNKNOWN_LABEL = 255  # in a semantic map (COCO-Stuff)


# Maps of all levels of a pyramid; that of a level has a stride of 2**level.
Features: TypeAlias = Mapping[int, Float[Array, "b _ _ c"]]


@flax.struct.dataclass
class GroundTruth:
    """The annotated objects of an image; crowds are not among them.

    Each bitmap ``masks[i]`` covers the rectangle ``mask_frames[i]`` (XYXY), normally the object's
    box, with its pixels spread evenly over it; outside its frame a mask is empty. A frame equal to
    the whole image and a bitmap of the image's size is the ordinary full-image mask.

    ``semantic_map``, where a model needs it, tells what the first pixel of each cell of 8x8 pixels
    of the padded image shows: a class of its own numbering, things and stuff, or ``UNKNOWN_LABEL``.
    """

    boxes: Float[Array, "*b g 4"]
    labels: Int[Array, "*b g"]
    masks: Bool[Array, "*b g m n"]
    mask_frames: Float[Array, "*b g 4"]
    valid: Bool[Array, "*b g"]
    semantic_map: UInt8[Array, "*b y x"] | None = None


@flax.struct.dataclass
class Batch:
    """Images of one padded size. Real pixels sit at the top left; ``sizes`` says how far they go.

    ``indices`` is each image's place in its data set, by which the host finds its id, file name
    and original size. ``valid`` is False for images that only fill up the last batch.
    """

    images: UInt8[Array, "*b h w 3"]
    sizes: Int[Array, "*b 2"]  # (height, width) of the real pixels
    ground_truth: GroundTruth
    indices: Int[Array, "*b"]
    valid: Bool[Array, "*b"]


@flax.struct.dataclass
class Proposals:
    """Class-agnostic boxes of the RPN, best first. ``scores`` are logits."""

    boxes: Float[Array, "*b p 4"]
    scores: Float[Array, "*b p"]
    valid: Bool[Array, "*b p"]


@flax.struct.dataclass
class Samples:
    """RoIs drawn for training the second stage, the positive ones first.

    ``labels`` is the class of the matched object, or K for background; ``matched`` is the index of
    that object among the image's ground truth (of no meaning for background). Only the first
    ``max_positives`` entries (a number of the sampler) can be positive. A cascade that matches its
    samples anew keeps their places: positives may then be anywhere.
    """

    boxes: Float[Array, "*b s 4"]
    labels: Int[Array, "*b s"]
    matched: Int[Array, "*b s"]
    valid: Bool[Array, "*b s"]


@flax.struct.dataclass
class Detections:
    """Final detections, best first.

    Each of ``masks`` holds probabilities, spread evenly over the rectangle ``mask_frames[i]``
    (XYXY), normally the detection's box. ``mask_scores`` says how good a mask is, which is the
    ``score`` of the box unless a head judges masks. A detector without a mask branch has ``masks``
    of side 0.
    """

    boxes: Float[Array, "*b d 4"]
    scores: Float[Array, "*b d"]
    labels: Int[Array, "*b d"]
    masks: Float[Array, "*b d k l"]
    mask_frames: Float[Array, "*b d 4"]
    mask_scores: Float[Array, "*b d"]
    valid: Bool[Array, "*b d"]


def abstract_batch(
    num_images: int,
    size: tuple[int, int],
    *,
    num_slots: int,
    mask_size: int,
    has_semantic_map: bool = False,
) -> Batch:
    """Shapes and types of a batch of the input pipeline, without any contents."""
    cells = [side // SEMANTIC_STRIDE for side in size]
    b, g, m = num_images, num_slots, mask_size
    return Batch(
        images=_array((b, *size, 3), jnp.uint8),
        sizes=_array((b, 2), jnp.int32),
        ground_truth=GroundTruth(
            boxes=_array((b, g, 4), jnp.float32),
            labels=_array((b, g), jnp.int32),
            masks=_array((b, g, m, m), jnp.bool_),
            mask_frames=_array((b, g, 4), jnp.float32),
            valid=_array((b, g), jnp.bool_),
            semantic_map=_array((b, *cells), jnp.uint8) if has_semantic_map else None,
        ),
        indices=_array((b,), jnp.int32),
        valid=_array((b,), jnp.bool_),
    )


def _array(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)
