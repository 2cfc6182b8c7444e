"""Anchors: cases of torchvision's test_models_detection_anchor_utils.py and Detectron2's
test_anchor_generator.py."""

import numpy as np

from maskrcnn_jax.rpn.anchors import AnchorConfig, level_anchors, pyramid_anchors


def test_default_anchor_generator():
    """Detectron2: sides of 32 and 64 on a map of 1 x 2 cells of stride 4."""
    config = AnchorConfig(scales=(8.0, 16.0), ratios=(0.25, 1.0, 4.0))
    expected = [
        [-32, -8, 32, 8],
        [-16, -16, 16, 16],
        [-8, -32, 8, 32],
        [-64, -16, 64, 16],
        [-32, -32, 32, 32],
        [-16, -64, 16, 64],
        [-28, -8, 36, 8],
        [-12, -16, 20, 16],
        [-4, -32, 12, 32],
        [-60, -16, 68, 16],
        [-28, -32, 36, 32],
        [-12, -64, 20, 64],
    ]
    anchors = pyramid_anchors(config, {2: (1, 2)})[2]
    np.testing.assert_allclose(anchors, expected, rtol=1e-12)


def test_anchor_generator():
    """torchvision: sides of 10 on a map of 3 x 3 cells in an image of 15 x 15, so of stride 5."""
    config = AnchorConfig(scales=(10 / 8,), ratios=(1.0,), like_torchvision=True)
    expected = [[x - 5, y - 5, x + 5, y + 5] for y in (0, 5, 10) for x in (0, 5, 10)]
    anchors = level_anchors(config, 3, (3, 3), image=(15, 15))
    np.testing.assert_array_equal(anchors, expected)
