"""From the cells of the grids to detections, for one image (SOLOv2, section 3.4).

Shapes: n cells of all grids, k classes, e channels and h w size of the mask features, c candidates,
d detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.mask_features import STRIDE
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.matrix_nms import matrix_nms
from maskrcnn_jax.solo.grids import GridConfig, min_areas
from maskrcnn_jax.structures import Detections

_MASK_THRESHOLD = 0.5
_AT_A_TIME = 128  # masks of stride 4: 34 MB for an image of 800x1344


@dataclass(frozen=True, kw_only=True)
class SOLODetectionConfig:
    """Pairs of cell and class above ``score_threshold`` are candidates; matrix NMS sees the best
    ``max_candidates`` of them, and a detection scores at least ``min_score`` after it.
    """

    score_threshold: float = 0.1
    max_candidates: int = 500
    sigma: float = 2.0
    min_score: float = 0.05
    max_detections: int = 100

    def __post_init__(self):
        check_options(
            self,
            max_candidates=(self.max_candidates >= 1, "at least 1"),
            max_detections=(self.max_detections >= 1, "at least 1"),
        )


class _Candidates(NamedTuple):
    cells: Int[Array, " c"]
    labels: Int[Array, " c"]
    scores: Float[Array, " c"]
    valid: Bool[Array, " c"]


def detect(
    logits: Float[Array, "n k"],
    kernels: Float[Array, "n e"],
    features: Float[Array, "h w e"],
    size: Int[Array, " 2"],
    *,
    grids: Sequence[GridConfig],
    config: SOLODetectionConfig,
) -> Detections:
    """Detections with masks of the whole padded image; ``size`` is that of its real part.

    A score is the probability of the class, times the mean probability in the mask, lowered where a
    better mask overlaps. Masks have a border of one cell, equal to what is beside it, and their
    frame one cell more on each side: pasted, they end at the edge of the image as sharply as
    PyTorch's ``interpolate`` lets them. Boxes are where the mask reaches one half.
    """
    found = _candidates(logits, kernels, features, grids=grids, config=config)
    masks = _masks(kernels[found.cells], features)
    inside = masks > _MASK_THRESHOLD
    scores = matrix_nms(inside, found.scores, found.labels, found.valid, sigma=config.sigma)

    valid = found.valid & (scores >= config.min_score)
    num_detections = min(config.max_detections, len(scores))
    scores, best = jax.lax.top_k(jnp.where(valid, scores, 0), num_detections)
    valid, masks = valid[best], masks[best]
    boxes = jnp.where(valid[:, None], box_ops.clip(mask_boxes(masks), size[0], size[1]), 0)
    height, width = features.shape[:2]
    frame = STRIDE * jnp.asarray([-1, -1, width + 1, height + 1], boxes.dtype)
    return Detections(
        boxes=boxes,
        scores=scores,
        labels=jnp.where(valid, found.labels[best], 0),
        masks=jnp.pad(masks, ((0, 0), (1, 1), (1, 1)), mode="edge"),
        mask_frames=jnp.broadcast_to(frame, boxes.shape),
        mask_scores=scores,
        valid=valid,
    )


def _candidates(
    logits: Array,
    kernels: Array,
    features: Array,
    *,
    grids: Sequence[GridConfig],
    config: SOLODetectionConfig,
) -> _Candidates:
    """The best pairs of cell and class, best first, by the score that the mask has a part in."""
    scores = jax.nn.sigmoid(logits)
    usable = is_local_maximum(scores, grids=grids) & (scores > config.score_threshold)
    areas, means = _mask_quality(kernels, features, usable.any(-1))
    usable &= (areas > min_areas(grids))[:, None]
    scores = jnp.where(usable, scores * means[:, None], 0)
    count = min(config.max_candidates, scores.size)
    best, pairs = jax.lax.top_k(scores.reshape(-1), count)
    cells, labels = jnp.divmod(pairs, scores.shape[-1])
    return _Candidates(cells=cells, labels=labels, scores=best, valid=best > 0)


def _mask_quality(
    kernels: Float[Array, "n e"], features: Float[Array, "h w e"], used: Bool[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Area of the mask of each ``used`` cell, and the mean probability in it; 0 for the others.

    Some cells at a time, and no more than are used: there are thousands, and few find anything.
    """
    order = jnp.argsort(~used, stable=True)
    order = jnp.pad(order, (0, -len(order) % _AT_A_TIME), constant_values=len(order))

    def measure(index, found):
        cells = jax.lax.dynamic_slice_in_dim(order, index * _AT_A_TIME, _AT_A_TIME)
        masks = _masks(kernels[cells], features)
        inside = masks > _MASK_THRESHOLD
        areas = inside.sum((1, 2)).astype(masks.dtype)
        means = jnp.where(inside, masks, 0).sum((1, 2)) / jnp.maximum(areas, 1)
        quality = jnp.where(used[cells], jnp.stack([areas, means]), 0)
        return found.at[:, cells].set(quality, mode="drop")

    zeros = jnp.zeros((2, len(used)), features.dtype)
    num_groups = -(-used.sum() // _AT_A_TIME)
    areas, means = jax.lax.fori_loop(0, num_groups, measure, zeros)
    return areas, means


def _masks(kernels: Float[Array, "c e"], features: Float[Array, "h w e"]) -> Float[Array, "c h w"]:
    """Probabilities: the kernels are 1x1 convolutions of the mask features."""
    return jax.nn.sigmoid(jnp.einsum("ce,hwe->chw", kernels, features))


def is_local_maximum(
    scores: Float[Array, "n k"], *, grids: Sequence[GridConfig]
) -> Bool[Array, "n k"]:
    """Whether no neighbour above, to the left, or above to the left in the grid scores higher.

    The window of 2x2 is MMDetection's (solov2_head.py: ``predict_by_feat``).
    """
    starts = [sum(grid.side**2 for grid in grids[:i]) for i in range(1, len(grids))]
    found = []
    for grid, x in zip(grids, jnp.split(scores, starts), strict=True):
        cells = x.reshape(grid.side, grid.side, -1)
        highest = jax.lax.reduce_window(
            cells, -jnp.inf, jax.lax.max, (2, 2, 1), (1, 1, 1), ((1, 0), (1, 0), (0, 0))
        )
        found.append((highest == cells).reshape(x.shape))
    return jnp.concatenate(found)


def mask_boxes(masks: Float[Array, "d h w"]) -> Float[Array, "d 4"]:
    """Boxes (XYXY, pixels of the image) around where masks of stride 4 reach one half.

    The edge is placed between two cells as interpolation would place it; where it runs across the
    cells, a box may be larger by a part of one. At the border a mask goes on to the end of the
    image. Empty masks have no area.
    """
    left, right = _extent(masks.max(axis=1))
    top, bottom = _extent(masks.max(axis=2))
    return STRIDE * jnp.stack([left, top, right, bottom], axis=-1)


def _extent(profile: Float[Array, "d l"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
    """Begin and end, in cells, of where the profile is above one half."""
    length = profile.shape[-1]
    end = length - _begin(profile[:, ::-1])
    begin = _begin(profile)
    return begin, jnp.maximum(begin, end)


def _begin(profile: Float[Array, "d l"]) -> Float[Array, " d"]:
    above = profile > _MASK_THRESHOLD
    first = above.argmax(axis=-1)
    before = jnp.maximum(first - 1, 0)
    high, low = (
        jnp.take_along_axis(profile, index[:, None], axis=-1)[:, 0] for index in (first, before)
    )
    back = (high - _MASK_THRESHOLD) / jnp.where(first > 0, high - low, 1)
    begin = jnp.where(first > 0, first + 0.5 - back, 0)
    return jnp.where(above.any(axis=-1), begin, profile.shape[-1])
