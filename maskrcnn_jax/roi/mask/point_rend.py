"""PointRend (Kirillov et al., 2020): a coarse mask, made finer at points where it is uncertain.

    coarse head: a grid of points of the finest features -> a small mask of every class
    point head: the features and the coarse logits at a point -> its logits

It is trained at random points, most of them where the coarse mask is uncertain. When detecting, the
point head predicts a regular grid, which is doubled in size again and again; its least certain
points are predicted anew each time.

Shapes: b images, s RoIs of an image, n of all images, p points of a RoI, k side of the coarse mask,
l pixels of all feature maps, c channels, q classes.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.losses import binary_cross_entropy
from maskrcnn_jax.ops.point_sampling import (
    cell_centres,
    double,
    draw_points,
    in_boxes,
    most_uncertain,
    regular_grid,
    replace_cells,
    sample_own_map,
    sample_points,
)
from maskrcnn_jax.ops.sampling_grid import Maps
from maskrcnn_jax.roi.mask.losses import MaskLosses, mask_loss, positive_labels, select_class
from maskrcnn_jax.roi.mask.point_heads import CoarseHeadConfig, PointHeadConfig
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets, point_targets
from maskrcnn_jax.roi.pooling import LEVELS
from maskrcnn_jax.structures import Detections, Features, GroundTruth, Samples


@dataclass(frozen=True, kw_only=True)
class PointSamplingConfig:
    """The points of a RoI in training, see ``ops.point_sampling.draw_points``."""

    num_points: int = 196
    oversampling: int = 3
    importance: float = 0.75

    def __post_init__(self):
        check_options(
            self,
            num_points=(self.num_points >= 1, "at least 1"),
            oversampling=(self.oversampling >= 1, "at least 1"),
            importance=(0 <= self.importance <= 1, "between 0 and 1"),
        )


@dataclass(frozen=True, kw_only=True)
class SubdivisionConfig:
    """The side of the coarse mask is doubled ``steps`` times, with ``num_points`` predicted anew.

    Doublings after which these would be all points are skipped: from 7x7 with 784 points Detectron2
    and MMDetection both begin with a whole grid of 28x28. What ``points_in_float32`` says of the
    points after that is seen only where all else is float64.
    """

    steps: int = 5
    num_points: int = 784
    points_in_float32: bool = True

    def __post_init__(self):
        check_options(
            self,
            steps=(self.steps >= 0, "at least 0"),
            num_points=(self.num_points >= 1, "at least 1"),
        )

    def sides(self, coarse: int) -> tuple[int, ...]:
        """Sides of the grids of which points are predicted: of the first one, all."""
        sides = tuple(coarse * 2**step for step in range(self.steps + 1))
        num_whole = sum(side**2 <= self.num_points for side in sides)
        return sides[max(num_whole - 1, 0) :]


@dataclass(frozen=True, kw_only=True)
class PointRendMaskHeadConfig:
    """All features are those of one ``level`` of the pyramid, whose stride is 2**level.

    ``targets`` are those of the coarse mask.
    """

    level: int = 2
    coarse: CoarseHeadConfig = field(default_factory=CoarseHeadConfig)
    point: PointHeadConfig = field(default_factory=PointHeadConfig)
    sampling: PointSamplingConfig = field(default_factory=PointSamplingConfig)
    subdivision: SubdivisionConfig = field(default_factory=SubdivisionConfig)
    targets: MaskTargetConfig = field(default_factory=MaskTargetConfig)

    def __post_init__(self):
        check_options(self, level=(self.level in LEVELS, f"from {LEVELS[0]} to {LEVELS[-1]}"))

    @property
    def side(self) -> int:
        """Side of the final mask."""
        return self.subdivision.sides(self.coarse.side)[-1]

    def build(self, num_classes: int) -> "PointRendMaskHead":
        return PointRendMaskHead(self, num_classes)


class PointRendMaskHead(nn.Module):
    config: PointRendMaskHeadConfig
    num_classes: int

    def setup(self):
        self.coarse = self.config.coarse.build(self.num_classes)
        self.point = self.config.point.build(self.num_classes)

    def loss(
        self,
        features: Features,
        positives: Samples,
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> MaskLosses:
        """Losses of the coarse mask and of the points, both of the true classes.

        The logits that are returned are the coarse ones.
        """
        config, valid = self.config, positives.valid
        view = look(features, positives.boxes, valid, level=config.level)
        labels = positive_labels(positives).reshape(-1)
        coarse = self._coarse_logits(view)
        own = select_class(coarse, labels)  # [n, k, k]
        by_image = own.reshape(*valid.shape, *own.shape[1:])
        draw = partial(draw_points, **dataclasses.asdict(config.sampling))
        points = jax.vmap(draw)(by_image, keys)  # [b, s, p, 2]
        at_points = self._point_logits(view, coarse, points.reshape(-1, *points.shape[2:]), labels)

        to_masks = partial(mask_targets, side=config.coarse.side, config=config.targets)
        mask = jax.vmap(to_masks)(truth, positives).reshape(own.shape)
        target = jax.vmap(point_targets)(truth, positives, points)
        counted = jnp.broadcast_to(valid[..., None], target.shape)
        terms = {
            "roi_mask": mask_loss(own, mask, valid.reshape(-1)),
            "roi_mask_point": binary_cross_entropy(
                at_points.reshape(target.shape), target.astype(at_points.dtype), counted
            ),
        }
        return MaskLosses(terms, by_image)

    def predict(self, features: Features, detections: Detections) -> Detections:
        """The detections with the masks of their classes."""
        config, steps = self.config, self.config.subdivision
        view = look(features, detections.boxes, detections.valid, level=config.level)
        labels = detections.labels.reshape(-1)
        coarse = self._coarse_logits(view)
        first, *finer = steps.sides(config.coarse.side)
        logits = self._point_logits(view, coarse, regular_grid(labels.size, first), labels)
        logits = logits.reshape(-1, first, first)
        for side in finer:
            logits = double(logits)
            uncertain = most_uncertain(logits.reshape(-1, side**2), num_points=steps.num_points)
            points = cell_centres(uncertain, side=side, in_float32=steps.points_in_float32)
            anew = self._point_logits(view, coarse, points, labels)
            logits = replace_cells(logits, uncertain, anew)
        masks = jax.nn.sigmoid(logits).reshape(*detections.labels.shape, *logits.shape[1:])
        return dataclasses.replace(detections, masks=masks)

    def _coarse_logits(self, view: "View") -> Float[Array, "n k k q"]:
        side = 2 * self.config.coarse.side
        x = view.at(regular_grid(view.boxes.shape[0], side))
        return self.coarse(x.reshape(-1, side, side, x.shape[-1]))

    def _point_logits(
        self,
        view: "View",
        coarse: Float[Array, "n k k q"],
        points: Float[Array, "n p 2"],
        labels: Int[Array, " n"],
    ) -> Float[Array, "n p"]:
        """Logits of the classes ``labels`` at relative points."""
        logits = self.point(view.at(points), sample_own_map(coarse, points))
        return select_class(logits, labels)


class View(NamedTuple):
    """What RoIs see: the feature maps of all images, and the boxes in pixels of them."""

    pixels: Float[Array, "l c"]
    boxes: Float[Array, "n 4"]
    maps: Maps

    def at(self, points: Float[Array, "n p 2"]) -> Float[Array, "n p c"]:
        """Features at points relative to the boxes."""
        return sample_points(self.pixels, in_boxes(points, self.boxes), self.maps)


def look(
    features: Features, boxes: Float[Array, "b s 4"], valid: Bool[Array, "b s"], *, level: int
) -> View:
    """The RoIs of all images on one level of the pyramid. Invalid ones have no area."""
    b, height, width, channels = features[level].shape
    image = jnp.arange(b).repeat(boxes.shape[1])
    maps = Maps(
        offset=image * height * width,
        height=jnp.full(image.shape, height),
        width=jnp.full(image.shape, width),
    )
    boxes = jnp.where(valid[..., None], boxes, 0).reshape(-1, 4) / 2**level
    return View(features[level].reshape(-1, channels), boxes, maps)
