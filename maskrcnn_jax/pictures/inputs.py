"""Pictures of what a network is trained on: images after augmentation, with their targets."""

from collections.abc import Sequence

import cv2
import numpy as np

from maskrcnn_jax.data.bitmaps import draw_mask
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.pictures.canvas import canvas, hatching, scale_of, with_boxes
from maskrcnn_jax.pictures.sheet import Tile
from maskrcnn_jax.structures import UNKNOWN_LABEL, Batch
from maskrcnn_jax.visualization import draw_detections, instance_colours


def input_tile(example: Batch, dataset: Dataset) -> Tile:
    """An example (no batch axis) of a data set, beside it its semantic map if it has one."""
    pictures = [draw_objects(example, [category.name for category in dataset.categories])]
    if example.ground_truth.semantic_map is not None:
        pictures.append(draw_semantic_map(example))
    images, index = dataset.images, int(example.indices)
    original = (images.heights[index], images.widths[index])
    sizes = (f"{s[0]}x{s[1]}" for s in (original, example.sizes, example.images.shape))
    number = int(np.count_nonzero(example.ground_truth.valid))
    return Tile(
        picture=np.concatenate(pictures, axis=1),
        lines=(
            f"{images.file_names[index]} (id {images.ids[index]})",
            "{}, as {} in {}; {} object{}".format(*sizes, number, "s" * (number != 1)),
        ),
    )


def draw_objects(example: Batch, names: Sequence[str]) -> np.ndarray:
    """An example with boxes, masks and names of its objects."""
    truth, scale = example.ground_truth, scale_of(example)
    shown = np.flatnonzero(truth.valid)
    boxes, labels = np.asarray(truth.boxes)[shown] * scale, np.asarray(truth.labels)[shown]
    picture = canvas(example)
    size = picture.shape[:2]
    masks, frames = np.asarray(truth.masks), np.asarray(truth.mask_frames, np.float64) * scale
    return draw_detections(
        with_boxes(picture, boxes, colours=instance_colours(labels, num_classes=len(names))),
        boxes=boxes,
        labels=labels,
        names=names,
        masks=[draw_mask(masks[i], frames[i], size=size) for i in shown],
    )


def draw_semantic_map(example: Batch) -> np.ndarray:
    """An example with the classes of its semantic map, which go by numbers; unknown is hatched."""
    picture = canvas(example)
    height, width = picture.shape[:2]
    cells = np.asarray(example.ground_truth.semantic_map)
    labels = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    picture = np.where((labels == UNKNOWN_LABEL)[..., None], hatching((height, width)), picture)
    shown = np.setdiff1d(labels, [UNKNOWN_LABEL])
    masks = [labels == label for label in shown]
    extents = [cv2.boundingRect(mask.astype(np.uint8)) for mask in masks]
    return draw_detections(
        picture,
        boxes=np.array([(x, y, x + w, y + h) for x, y, w, h in extents]),
        labels=shown,
        names=[str(label) for label in range(UNKNOWN_LABEL)],
        masks=masks,
    )
