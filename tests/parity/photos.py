"""Real photographs for two detectors, and how their detections are matched."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn_jax.data.images import read_image, resize_image
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.maskrcnn import SIZE_MULTIPLE
from tests.parity.comparison import Difference

# Photographs are scaled to this short side, or less if the long side came out too long: large
# enough for RoIs of every level, small enough for a CPU.
SHORT_SIDE, LONG_SIDE = 512, 768
# Sides after padding, shortest first. Photographs of other shapes are left out: each padded size
# costs a compilation.
PADDED_SIDES = ([512, 704], [512, 768])

# Two detections of one class are a match if they are closer than this.
MIN_IOU = 0.99
SCORE_TOLERANCE = 1e-3
MAX_UNMATCHED = 0.005  # share of the detections


class Match(NamedTuple):
    """A detection of ours and one of theirs in the same image."""

    ours: int
    theirs: int
    score_difference: float
    box_iou: float
    mask_iou: float


def read_photos(folder: Path, *, count: int) -> dict[str, np.ndarray]:
    """The first ``count`` of the folder's photographs, scaled, by file name: uint8 [h, w, 3]."""
    photos = {}
    for path in sorted(folder.glob("*.jpg")):
        photo = _scaled(read_image(path))
        padded = sorted(side + -side % SIZE_MULTIPLE for side in photo.shape[:2])
        if padded in PADDED_SIDES:
            photos[path.stem] = photo
        if len(photos) == count:
            return photos
    raise InputError(f"{folder}: {len(photos)} photographs of usual shapes, not {count}")


def compare_detections(
    ours: Iterable[ImageDetections], theirs: Iterable[ImageDetections]
) -> list[Difference]:
    """How many detections of either side have no match, and how far matches are apart."""
    pairs = list(zip(ours, theirs, strict=True))
    found = [matches(a, b) for a, b in pairs]
    every = [match for image in found for match in image]
    return [
        _unmatched(
            "ours without a match",
            total=sum(len(a) for a, _ in pairs),
            matched=sum(len({match.ours for match in image}) for image in found),
        ),
        _unmatched(
            "theirs without a match",
            total=sum(len(b) for _, b in pairs),
            matched=sum(len({match.theirs for match in image}) for image in found),
        ),
        _largest("scores of matches", [m.score_difference for m in every], SCORE_TOLERANCE),
        _largest("boxes of matches (1 - IoU)", [1 - m.box_iou for m in every], 1 - MIN_IOU),
        _largest("masks of matches (1 - IoU)", [1 - m.mask_iou for m in every], 1 - MIN_IOU),
    ]


def matches(ours: ImageDetections, theirs: ImageDetections) -> list[Match]:
    """All pairs of one class whose boxes, scores and masks are close; masks in the image."""
    box_iou = _box_iou(ours.boxes, theirs.boxes)
    score_difference = np.abs(ours.scores[:, None] - theirs.scores)
    same_class = ours.labels[:, None] == theirs.labels
    close = same_class & (box_iou > MIN_IOU) & (score_difference < SCORE_TOLERANCE)
    a, b = ours.segmentations or [], theirs.segmentations or []
    candidates = [
        Match(i, j, score_difference[i, j], box_iou[i, j], _mask_iou(a[i], b[j]))
        for i, j in np.argwhere(close).tolist()
    ]
    return [match for match in candidates if match.mask_iou > MIN_IOU]


def _unmatched(quantity: str, *, total: int, matched: int) -> Difference:
    missing = total - matched
    share = missing / total if total else np.nan
    where = f"{missing} of {total}"
    return Difference(quantity=quantity, value=share, bar=MAX_UNMATCHED, where=where)


def _largest(quantity: str, values: list[float], bar: float) -> Difference:
    return Difference(quantity=quantity, value=max(values, default=np.nan), bar=bar)


def _mask_iou(a: dict, b: dict) -> float:
    return 1.0 if a == b else rle.iou(a, b)  # two empty masks are equal


def _scaled(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = min(LONG_SIDE / max(height, width), SHORT_SIDE / min(height, width))
    return resize_image(image, (round(height * scale), round(width * scale)))


def _box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[len(a), len(b)]; boxes have area."""
    low = np.maximum(a[:, None, :2], b[:, :2])
    high = np.minimum(a[:, None, 2:], b[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return common / (areas[0][:, None] + areas[1] - common)
