import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.rpn.anchors import AnchorConfig, level_anchors, pyramid_anchors


def slow_anchors(config, level, height, width):
    boxes = []
    for row in range(height):
        for column in range(width):
            for scale in config.scales:
                for ratio in config.ratios:
                    area = (scale * 2**level) ** 2
                    w = math.sqrt(area / ratio)
                    h = area / w
                    x, y = column * 2**level, row * 2**level
                    boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return np.array(boxes)


@given(
    level=st.integers(2, 6),
    height=st.integers(1, 4),
    width=st.integers(1, 5),
    scales=st.lists(st.floats(1, 16), min_size=1, max_size=3),
    ratios=st.lists(st.floats(0.2, 5), min_size=1, max_size=3),
)
def test_anchors_equal_the_slow_loop(level, height, width, scales, ratios):
    config = AnchorConfig(scales=tuple(scales), ratios=tuple(ratios))
    anchors = level_anchors(config, level, height, width)
    assert anchors.shape == (height * width * config.per_cell, 4)
    expected = slow_anchors(config, level, height, width)
    np.testing.assert_allclose(anchors, expected, rtol=1e-12, atol=1e-12)


def test_anchors_are_detectron2s():
    """The boxes of its own test: sizes 32 and 64, ratios .25 1 4, stride 4, a map of 1x2."""
    config = AnchorConfig(scales=(8.0, 16.0), ratios=(0.25, 1.0, 4.0))
    cell = np.array(
        [
            [-32, -8, 32, 8],
            [-16, -16, 16, 16],
            [-8, -32, 8, 32],
            [-64, -16, 64, 16],
            [-32, -32, 32, 32],
            [-16, -64, 16, 64],
        ]
    )
    expected = np.concatenate([cell, cell + np.array([4, 0, 4, 0])])
    np.testing.assert_allclose(level_anchors(config, 2, 1, 2), expected, rtol=1e-12)


def test_the_default_sizes_are_32_to_512():
    shapes = dict.fromkeys(range(2, 7), (2, 3))
    anchors = pyramid_anchors(AnchorConfig(), shapes)
    for level, size in zip(anchors, (32, 64, 128, 256, 512), strict=True):
        width, height = (anchors[level][:, 2:] - anchors[level][:, :2]).T
        np.testing.assert_allclose(np.sqrt(width * height), size, rtol=1e-12)
        np.testing.assert_allclose(height / width, [0.5, 1.0, 2.0] * 6, rtol=1e-12)


@pytest.mark.parametrize("level", [2, 6])
def test_a_cells_anchors_are_centred_on_its_top_left_corner(level):
    anchors = level_anchors(AnchorConfig(ratios=(1.0,)), level, 3, 4).reshape(3, 4, 4)
    centres = (anchors[..., :2] + anchors[..., 2:]) / 2
    np.testing.assert_array_equal(centres[0, 0], [0, 0])
    np.testing.assert_array_equal(centres[2, 3], [3 * 2**level, 2 * 2**level])
