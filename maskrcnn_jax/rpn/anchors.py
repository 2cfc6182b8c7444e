"""Anchors: reference boxes at every cell of every level, known at trace time.

Shapes: a anchors per cell, n anchors of an image, in the order level, row, column, ratio.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class AnchorConfig:
    """An anchor of ratio r and scale s has area (s * stride)^2 and height / width = r.

    ``like_torchvision`` rounds the corners of the anchors (around 0) to whole pixels, and spaces
    cells by the whole part of image side / number of cells, which is less than the stride where
    cells reach beyond the image (level 6: 61 instead of 64 in an image of 800 pixels).
    """

    scales: tuple[float, ...] = (8.0,)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    like_torchvision: bool = False

    @property
    def per_cell(self) -> int:
        return len(self.scales) * len(self.ratios)


def level_anchors(
    config: AnchorConfig, level: int, cells: tuple[int, int], *, image: tuple[int, int]
) -> np.ndarray:
    """Anchors of a level of ``cells`` (rows, columns) in a padded ``image`` (height, width).

    Returns float64 [rows * columns * a, 4], XYXY. The anchors of cell (row, column) are centred on
    its top left corner, (column, row) * stride, as in Detectron2 and torchvision.
    """
    stride = 2**level
    cell = np.array([
        [-w / 2, -h / 2, w / 2, h / 2]
        for scale in config.scales
        for ratio in config.ratios
        for w in [scale * stride / math.sqrt(ratio)]
        for h in [w * ratio]
    ])  # fmt: skip
    spacing = (stride, stride)
    if config.like_torchvision:
        cell = cell.round()
        spacing = (image[0] // cells[0], image[1] // cells[1])
    y, x = np.meshgrid(*(np.arange(n) * float(s) for n, s in zip(cells, spacing, strict=True)),
                       indexing="ij")  # fmt: skip
    corners = np.stack([x, y, x, y], axis=-1)
    return (corners[:, :, None] + cell).reshape(-1, 4)


def pyramid_anchors(
    config: AnchorConfig, shapes: Mapping[int, tuple[int, int]]
) -> dict[int, np.ndarray]:
    """The anchors of each level of a pyramid whose levels have the given (rows, columns)."""
    finest = min(shapes)
    rows, columns = shapes[finest]
    image = (rows * 2**finest, columns * 2**finest)
    return {
        level: level_anchors(config, level, cells, image=image) for level, cells in shapes.items()
    }
