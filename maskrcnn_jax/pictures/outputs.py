"""Pictures of what a network makes of an image: the best proposals, and the detections."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pycocotools.mask

from maskrcnn_jax.evaluation.results import in_original_frame
from maskrcnn_jax.evaluation.rle import DecodedMasks
from maskrcnn_jax.pictures.canvas import canvas, scale_of, with_boxes
from maskrcnn_jax.pictures.sheet import Tile
from maskrcnn_jax.structures import Batch, Detections, Proposals
from maskrcnn_jax.visualization import draw_detections

_NUM_PROPOSALS = 20
_MIN_SCORE = 0.3  # a network that still learns is seldom sure
_IOU = 0.5
_HIT, _MISS = (70, 220, 90), (190, 190, 190)

_coco: Any = pycocotools.mask  # its published types do not know arrays of boxes


def proposal_tile(example: Batch, proposals: Proposals) -> Tile:
    """The best proposals of an image (no batch axis), bright those that cover an object."""
    boxes = np.asarray(proposals.boxes, np.float64)
    boxes = boxes[np.asarray(proposals.valid) & np.isfinite(boxes).all(axis=1)]
    truth = example.ground_truth
    objects = np.asarray(truth.boxes, np.float64)[np.asarray(truth.valid)]
    covers = _overlaps(boxes, objects) >= _IOU
    shown, is_hit = boxes[:_NUM_PROPOSALS], np.any(covers[:_NUM_PROPOSALS], axis=1)
    misses_first = np.argsort(is_hit, kind="stable")
    picture = with_boxes(
        canvas(example),
        shown[misses_first] * scale_of(example),
        colours=np.where(is_hit[misses_first, None], _HIT, _MISS),
    )
    found = np.count_nonzero(np.any(covers, axis=0))
    return Tile(
        picture=picture,
        lines=(
            f"best {len(shown)} of {len(boxes)} proposals",
            f"all of them cover {found} of {len(objects)} objects (IoU {_IOU})",
        ),
    )


def detection_tile(
    example: Batch,
    detections: Detections,
    *,
    names: Sequence[str],
    paste: Literal["exact", "whole_pixels"],
) -> Tile:
    """What was found in an image (no batch axis), as predict.py draws it."""
    picture = canvas(example)
    found = in_original_frame(
        detections, resized=example.images.shape[:2], original=picture.shape[:2], paste=paste
    )
    shown = np.flatnonzero(found.scores >= _MIN_SCORE)
    masks = None
    if found.segmentations is not None:
        masks = DecodedMasks([found.segmentations[index] for index in shown])
    best = f"; best {found.scores[0]:.2f}" if len(found) else ""
    return Tile(
        picture=draw_detections(
            picture,
            boxes=found.boxes[shown],
            labels=found.labels[shown],
            scores=found.scores[shown],
            masks=masks,
            names=names,
        ),
        lines=(f"{len(shown)} detections of score {_MIN_SCORE} or more{best}", ""),
    )


def _overlaps(boxes: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Intersection over union [n, g] of XYXY boxes."""
    if not len(boxes) or not len(objects):
        return np.zeros((len(boxes), len(objects)))
    xywh = [np.concatenate([x[:, :2], x[:, 2:] - x[:, :2]], axis=1) for x in (boxes, objects)]
    return _coco.iou(*xywh, [0] * len(objects))
