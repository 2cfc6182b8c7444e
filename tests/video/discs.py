"""Discs that move over a black picture, as a perfect detector would find them."""

from dataclasses import dataclass

import numpy as np
import pycocotools.mask

from maskrcnn_jax.evaluation.results import ImageDetections

HEIGHT, WIDTH = 120, 160


@dataclass(frozen=True, kw_only=True)
class Disc:
    """In pixels and frames; seen from ``first`` on, before frame ``end``."""

    start: tuple[float, float]  # x, y in frame 0
    velocity: tuple[float, float] = (0.0, 0.0)
    radius: float = 12.0
    hole: float = 0.0
    label: int = 0
    first: int = 0
    end: int = 10**6


def visible_masks(discs, frame):
    """Of each disc the pixels that no disc after it hides, bool [n, h, w]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    masks = np.zeros((len(discs), HEIGHT, WIDTH), bool)
    for i, disc in enumerate(discs):
        if disc.first <= frame < disc.end:
            centre = np.add(disc.start, np.multiply(frame, disc.velocity))
            distance = np.hypot(x - centre[0], y - centre[1])
            masks[i] = (distance < disc.radius) & (distance >= disc.hole)
            masks[:i] &= ~masks[i]
    return masks


def detected(masks, labels, *, scores=None):
    """The masks as detections, with the tight boxes around them."""
    encoded = pycocotools.mask.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    boxes = pycocotools.mask.toBbox(encoded).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.full(len(masks), 0.9) if scores is None else np.asarray(scores)
    return ImageDetections(
        boxes=boxes,
        scores=scores,
        mask_scores=scores,
        labels=np.asarray(labels, int),
        segmentations=[{**item, "counts": item["counts"].decode()} for item in encoded],
        size=(HEIGHT, WIDTH),
        class_names=("disc", "ring", "star"),
    )
