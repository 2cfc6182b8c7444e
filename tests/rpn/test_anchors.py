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
    anchors = level_anchors(config, level, (height, width), image=(0, 0))
    assert anchors.shape == (height * width * config.per_cell, 4)
    expected = slow_anchors(config, level, height, width)
    np.testing.assert_allclose(anchors, expected, rtol=1e-12, atol=1e-12)


def test_the_default_sizes_are_32_to_512():
    shapes = dict.fromkeys(range(2, 7), (2, 3))
    anchors = pyramid_anchors(AnchorConfig(), shapes)
    for level, size in zip(anchors, (32, 64, 128, 256, 512), strict=True):
        width, height = (anchors[level][:, 2:] - anchors[level][:, :2]).T
        np.testing.assert_allclose(np.sqrt(width * height), size, rtol=1e-12)
        np.testing.assert_allclose(height / width, [0.5, 1.0, 2.0] * 6, rtol=1e-12)


@pytest.mark.parametrize("level", [2, 6])
def test_a_cells_anchors_are_centred_on_its_top_left_corner(level):
    anchors = level_anchors(AnchorConfig(ratios=(1.0,)), level, (3, 4), image=(0, 0)).reshape(
        3, 4, 4
    )
    centres = (anchors[..., :2] + anchors[..., 2:]) / 2
    np.testing.assert_array_equal(centres[0, 0], [0, 0])
    np.testing.assert_array_equal(centres[2, 3], [3 * 2**level, 2 * 2**level])


def test_torchvisions_anchors_are_rounded_and_spaced_by_whole_parts():
    """Level 6 of an image of 800 x 1088: 13 x 17 cells, 800 // 13 = 61 and 1088 // 17 = 64."""
    shapes = {2: (200, 272), 6: (13, 17)}
    anchors = pyramid_anchors(AnchorConfig(like_torchvision=True), shapes)
    # 32 / sqrt(.5) / 2 = 22.6, 32 * sqrt(.5) / 2 = 11.3
    cell = np.array([[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]])
    np.testing.assert_array_equal(anchors[2][:3], cell)
    np.testing.assert_array_equal(anchors[2][-3:], cell + np.tile([271 * 4, 199 * 4], 2))
    coarse = anchors[6].reshape(13, 17, 3, 4)
    np.testing.assert_array_equal(coarse[5, 7] - coarse[0, 0], np.tile([7 * 64, 5 * 61], (3, 2)))
