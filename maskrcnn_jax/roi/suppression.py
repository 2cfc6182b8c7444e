"""How the box head's candidates that overlap are sorted out: one config for each kind of NMS.

Each ``build()`` gives a function ``(boxes, scores, valid, *, labels, num_outputs) -> Kept``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.ops.nms import Kept, nms
from maskrcnn_jax.ops.soft_nms import gaussian_decay, linear_decay, soft_nms

Suppression: TypeAlias = Callable[..., Kept]


@dataclass(frozen=True, kw_only=True)
class NMSConfig:
    """A box that overlaps a better one by more than ``iou_threshold`` is dropped."""

    iou_threshold: float = 0.5

    def __post_init__(self):
        check_options(self, iou_threshold=(0 <= self.iou_threshold <= 1, "between 0 and 1"))

    def build(self) -> Suppression:
        return partial(nms, iou_threshold=self.iou_threshold)


@dataclass(frozen=True, kw_only=True)
class LinearSoftNMSConfig:
    """A box that overlaps a better one loses as large a share of its score.

    Overlaps up to ``iou_threshold`` cost nothing. Boxes that come below ``min_score`` are dropped.
    """

    iou_threshold: float = 0.3
    min_score: float = 0.001

    def __post_init__(self):
        check_options(
            self,
            iou_threshold=(0 <= self.iou_threshold <= 1, "between 0 and 1"),
            min_score=(0 <= self.min_score <= 1, "between 0 and 1"),
        )

    def build(self) -> Suppression:
        decay = partial(linear_decay, iou_threshold=self.iou_threshold)
        return partial(soft_nms, decay=decay, min_score=self.min_score)


@dataclass(frozen=True, kw_only=True)
class GaussianSoftNMSConfig:
    """Every box loses score to the better ones: a factor exp(-IoU^2 / ``sigma``) to each.

    Boxes that come below ``min_score`` are dropped.
    """

    sigma: float = 0.5
    min_score: float = 0.001

    def __post_init__(self):
        check_options(
            self,
            sigma=(self.sigma > 0, "above 0"),
            min_score=(0 <= self.min_score <= 1, "between 0 and 1"),
        )

    def build(self) -> Suppression:
        decay = partial(gaussian_decay, sigma=self.sigma)
        return partial(soft_nms, decay=decay, min_score=self.min_score)


AnyNMSConfig: TypeAlias = NMSConfig | LinearSoftNMSConfig | GaussianSoftNMSConfig
