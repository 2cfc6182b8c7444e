"""What both sides of a comparison work on. NumPy alone, so that a peer's Python can import it.

Everything follows from a seed. Sizes are (height, width), boxes XYXY.
"""

from typing import Any

import numpy as np

Size = tuple[int, int]


def pyramid(size: Size, *, channels: int = 256, levels: tuple[int, ...] = (2, 3, 4, 5)) -> Any:
    """Feature maps float32 [h, w, c] of an image, by level."""
    rng = np.random.default_rng(0)
    return {
        level: rng.standard_normal(
            (-(-size[0] // 2**level), -(-size[1] // 2**level), channels), np.float32
        )
        for level in levels
    }


def upstream(num_rois: int, output_size: int, *, channels: int = 256) -> np.ndarray:
    """The gradient [n, o, o, c] of pooled RoIs."""
    shape = (num_rois, output_size, output_size, channels)
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def regions(count: int, size: Size, *, seed: int = 0) -> np.ndarray:
    """Boxes [count, 4] of all sizes from 16 pixels to the whole image, as proposals are."""
    rng = np.random.default_rng(seed)
    limits = np.array([size[1], size[0]], np.float64)
    sides = np.minimum(16 * (limits.max() / 16) ** rng.random((count, 2)), limits)
    corners = rng.random((count, 2)) * (limits - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def crowd(count: int, size: Size, *, boxes_per_object: int = 20, seed: int = 0) -> np.ndarray:
    """Boxes [count, 4] that lie close around few objects, as before NMS."""
    rng = np.random.default_rng(seed)
    objects = regions(-(-count // boxes_per_object), size, seed=seed)
    boxes = np.repeat(objects, boxes_per_object, axis=0)[:count]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return (boxes + 0.1 * sides * rng.standard_normal(boxes.shape)).astype(np.float32)


def scores(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers in [0, 1), all different."""
    count = int(np.prod(shape))
    ranks = np.random.default_rng(seed).permutation(count)
    return (ranks / count).astype(np.float32).reshape(shape)


def picture(size: Size, *, seed: int = 0) -> np.ndarray:
    """A smooth coloured image, uint8 [h, w, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((-(-size[0] // 16), -(-size[1] // 16), 3))
    return (255 * np.kron(coarse, np.ones((16, 16, 1))))[: size[0], : size[1]].astype(np.uint8)


def objects(count: int, size: Size, *, num_classes: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Annotated objects: boxes [count, 4], labels [count], elliptic masks bool [count, h, w]."""
    boxes = regions(count, size, seed=seed)
    labels = np.random.default_rng(seed).integers(num_classes, size=count)
    centres, radii = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    x = (np.arange(size[1]) + 0.5 - centres[:, :1]) / radii[:, :1]
    y = (np.arange(size[0]) + 0.5 - centres[:, 1:]) / radii[:, 1:]
    return {
        "boxes": boxes,
        "labels": labels.astype(np.int32),
        "masks": y[:, :, None] ** 2 + x[:, None, :] ** 2 <= 1,
    }


def soft_masks(count: int, *, side: int = 28) -> np.ndarray:
    """Probabilities float32 [count, side, side] of ellipses with soft borders, in their boxes."""
    radii = np.random.default_rng(0).uniform(0.7, 1, (count, 2, 1))
    cells = ((np.arange(side) + 0.5) / side * 2 - 1) / radii
    distance = cells[:, 0, :, None] ** 2 + cells[:, 1, None, :] ** 2
    return (1 / (1 + np.exp(8 * (distance - 1)))).astype(np.float32)


def classified(
    num_rois: int, size: Size, *, num_classes: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, k + 1], a few classes likely for each RoI, and boxes [n, k, 4]."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((num_rois, num_classes + 1))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    boxes = np.repeat(crowd(num_rois, size, seed=seed)[:, None], num_classes, axis=1)
    boxes += rng.standard_normal(boxes.shape)
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2] + 1)
    return probabilities.astype(np.float32), boxes.astype(np.float32)
