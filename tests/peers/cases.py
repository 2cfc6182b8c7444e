"""Inputs of the peers' tests that both their side (``make_outputs.py``) and ours need."""

from pathlib import Path

import numpy as np

# Detectron2, tests/modeling/test_roi_heads.py: two images of two objects.
HEADS_SIZES = ((10, 10), (20, 30))  # (height, width)
HEADS_BOXES = (((1.0, 1, 3, 3), (2.0, 2, 6, 6)), ((1.0, 5, 2, 8), (7.0, 3, 10, 5)))
HEADS_LABELS = ((2, 1), (1, 2))

# torchvision, test/test_onnx.py: number of masks, half the reach of their boxes, side of the image.
PASTED = {"small": (10, 50, 100), "large": (20, 100, 200)}


def outputs() -> dict[str, np.ndarray]:
    """What ``make_outputs.py`` has written."""
    with np.load(Path(__file__).with_name("outputs.npz")) as file:
        return dict(file)


def roi_pool_case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [b, c, h, w] of few values, RoIs [n, 5] in them and beyond, weights [n, c, 7, 7].

    The first boxes are such that rounding decides which pixels belong to a cell.
    """
    rng = np.random.default_rng(7)
    images = rng.integers(-9, 9, (2, 2, 40, 60)).astype(np.float32)
    low = rng.uniform(-10, 50, (100, 2))
    rois = np.concatenate([rng.integers(0, 2, (100, 1)), low, low + rng.gamma(1, 12, (100, 2))], 1)
    rois[:4] = [[0, 3, 0, 33, 30], [1, -5, 1, 51, 31], [0, 0.5, 1.5, 31.5, 32.5], [1, 2, 2, 58, 3]]
    weights = rng.integers(-9, 9, (100, 2, 7, 7)).astype(np.float32)
    return images, rois.astype(np.float32), weights


def pasted_case(name: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Masks [n, 26, 26], boxes [n, 4] and image size of one of torchvision's pasting tests."""
    count, extent, side = PASTED[name]
    rng = np.random.default_rng(count)
    masks, boxes = rng.random((count, 26, 26)), rng.random((count, 4))
    boxes[:, 2:] += rng.random((count, 2))
    return masks, boxes * extent, (side, side)
