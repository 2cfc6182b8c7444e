"""What the semantic map of an image should be, for one image.

A cell of the map tells what its first pixel shows, at the top left: the anchors of that stride are
centred there, too, and MMDetection's ``FusedSemanticHead`` takes the same pixel.

Shapes: y x cells, g ground-truth objects.
"""

from dataclasses import dataclass
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.structures import SEMANTIC_STRIDE, UNKNOWN_LABEL, GroundTruth


@dataclass(frozen=True, kw_only=True)
class ObjectMasksConfig:
    """The classes of the objects, and behind them one for all that no mask covers.

    Needs no data but the masks. Where they overlap, the object with the smallest box is seen, of
    equal ones the first. Crowds, which are not among the objects, are background.
    """

    def num_outputs(self, num_classes: int) -> int:
        return num_classes + 1

    def labels(
        self, truth: GroundTruth, shape: tuple[int, int], *, num_classes: int
    ) -> tuple[Int[Array, "y x"], Bool[Array, "y x"]]:
        """The class of every cell, and whether it is known."""
        covered = _covered(truth, shape)
        order = jnp.where(truth.valid, box_ops.area(truth.boxes), jnp.inf)
        nearest = jnp.where(covered, order[:, None, None], jnp.inf).argmin(0)
        labels = jnp.where(covered.any(0), truth.labels[nearest], num_classes)
        return labels, jnp.ones(shape, bool)


@dataclass(frozen=True, kw_only=True)
class SemanticMapsConfig:
    """The classes of ``GroundTruth.semantic_map``, which the data has to bring: things and stuff.

    ``num_labels`` counts them; those of COCO-Stuff and one more are MMDetection's 183.
    """

    num_labels: int = 183

    def num_outputs(self, num_classes: int) -> int:
        del num_classes
        return self.num_labels

    def labels(
        self, truth: GroundTruth, shape: tuple[int, int], *, num_classes: int
    ) -> tuple[Int[Array, "y x"], Bool[Array, "y x"]]:
        """The class of every cell, and whether it is known."""
        del num_classes
        if truth.semantic_map is None:
            raise ValueError(
                f"roi.semantic.target asks for semantic maps of {shape} cells, but the batch has "
                "none: its pipeline needs input.semantic_labels"
            )
        labels = truth.semantic_map.astype(jnp.int32)
        return labels, labels != UNKNOWN_LABEL


AnySemanticTargetConfig: TypeAlias = ObjectMasksConfig | SemanticMapsConfig


def _covered(truth: GroundTruth, shape: tuple[int, int]) -> Bool[Array, "g y x"]:
    """Whether each object's mask has the first pixel of each cell."""
    height, width = truth.masks.shape[-2:]
    frames = jnp.where(truth.valid[:, None], truth.mask_frames, 0)
    rows, in_rows = _pixels(frames[:, 1], frames[:, 3], shape[0], height)
    columns, in_columns = _pixels(frames[:, 0], frames[:, 2], shape[1], width)
    objects = jnp.arange(len(truth.masks))[:, None, None]
    inside = in_rows[:, :, None] & in_columns[:, None] & truth.valid[:, None, None]
    return truth.masks[objects, rows[:, :, None], columns[:, None]] & inside


def _pixels(
    low: Float[Array, " g"], high: Float[Array, " g"], cells: int, pixels: int
) -> tuple[Int[Array, "g y"], Bool[Array, "g y"]]:
    """Along an axis: in which pixel of each frame the cells lie, and whether they lie in it."""
    extent = high - low
    places = jnp.arange(cells) * SEMANTIC_STRIDE + 0.5 - low[:, None]
    pixel = jnp.floor(places * (pixels / jnp.where(extent > 0, extent, 1))[:, None])
    inside = (pixel >= 0) & (pixel < pixels) & (extent > 0)[:, None]
    return jnp.clip(pixel, 0, pixels - 1).astype(jnp.int32), inside
