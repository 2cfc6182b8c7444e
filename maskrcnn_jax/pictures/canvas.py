"""The paper to draw on: an image as the network gets it, at a size at which it can be looked at.

All pictures are uint8 RGB [h, w, 3].
"""

import cv2
import numpy as np

from maskrcnn_jax.structures import Batch

# The least and the most pixels that the longer side of a picture has.
_LEAST, _MOST = 512, 896
_HATCH = (24, 72)  # greys of the padding
_STRIPE = 8  # pixels


def scale_of(example: Batch) -> float:
    """Pixels of the canvas in one pixel of the network's input."""
    side = max(example.images.shape[:2])
    return min(max(side, _LEAST), _MOST) / side


def canvas(example: Batch) -> np.ndarray:
    """The image of an example (no batch axis), with its padding hatched.

    Enlarged images show the very pixels that the network gets.
    """
    image, scale = np.asarray(example.images), scale_of(example)
    size = tuple(round(side * scale) for side in image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture = cv2.resize(image, size[::-1], interpolation=interpolation)
    height, width = (np.asarray(example.sizes) * scale).round().astype(int)
    stripes = hatching(size)
    picture[height:], picture[:, width:] = stripes[height:], stripes[:, width:]
    return picture


def hatching(size: tuple[int, int]) -> np.ndarray:
    """What shows that there is nothing."""
    rows, columns = np.indices(size)
    is_bright = (rows + columns) // _STRIPE % 2 == 1
    return np.where(is_bright, *reversed(_HATCH)).astype(np.uint8)[..., None].repeat(3, axis=-1)


def with_boxes(picture: np.ndarray, boxes: np.ndarray, *, colours: np.ndarray) -> np.ndarray:
    """A new picture with thin XYXY boxes [n, 4], in pixels of the picture; the last is on top."""
    picture = picture.copy()
    for (x1, y1, x2, y2), colour in zip(boxes.round().astype(int), colours, strict=True):
        first, second = (int(x1), int(y1)), (int(x2) - 1, int(y2) - 1)
        cv2.rectangle(picture, first, second, colour.tolist(), 1)
    return picture
