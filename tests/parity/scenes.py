"""Images with objects, made by a rule from whole numbers alone: the same on every machine."""

from typing import NamedTuple

import numpy as np


class Scene(NamedTuple):
    image: np.ndarray  # uint8 [h, w, 3]
    boxes: np.ndarray  # float64 [n, 4]: XYXY, tight around the masks
    labels: np.ndarray  # int64 [n]
    masks: np.ndarray  # bool [n, h, w]


def scene(seed: int, *, height: int, width: int, num_objects: int, num_classes: int) -> Scene:
    """Ellipses, which may overlap, on noisy waves: no two places look the same, so none tie."""
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[:height, :width]
    waves = (x * x + 2 * y * y + 3 * x * y)[..., None] // np.array([211, 307, 401]) % 200
    noise = rng.integers(0, 4, (height, width, 3))
    image, boxes, masks = waves + noise, [], []
    for _ in range(num_objects):
        b, a = rng.integers(8, [height // 3, width // 3])  # half the height, half the width
        row, column = rng.integers([b, a], [height - b, width - a])
        mask = ((y - row) * a) ** 2 + ((x - column) * b) ** 2 < (a * b) ** 2
        image[mask] = rng.integers(0, 240, 3) + noise[mask]
        boxes.append([column - a + 1, row - b + 1, column + a, row + b])
        masks.append(mask)
    return Scene(
        image=image.astype(np.uint8),
        boxes=np.array(boxes, np.float64),
        labels=rng.integers(0, num_classes, num_objects),
        masks=np.array(masks),
    )
