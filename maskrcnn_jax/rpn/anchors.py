"""Anchors: reference boxes at every cell of every level, known at trace time.

Shapes: a anchors per cell, n anchors of an image, in the order level, row, column, ratio.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class AnchorConfig:
    """An anchor of ratio r and scale s has area (s * stride)^2 and height / width = r."""

    scales: tuple[float, ...] = (8.0,)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    @property
    def per_cell(self) -> int:
        return len(self.scales) * len(self.ratios)


def level_anchors(config: AnchorConfig, level: int, height: int, width: int) -> np.ndarray:
    """Anchors of a level of ``height`` x ``width`` cells: float64 [height * width * a, 4], XYXY.

    The anchors of cell (row, column) are centred on its top left corner, (column, row) * stride,
    as in Detectron2 and torchvision.
    """
    stride = 2**level
    cell = np.array([
        [-w / 2, -h / 2, w / 2, h / 2]
        for scale in config.scales
        for ratio in config.ratios
        for w in [scale * stride / math.sqrt(ratio)]
        for h in [w * ratio]
    ])  # fmt: skip
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    corners = np.stack([columns, rows, columns, rows], axis=-1) * float(stride)
    return (corners[:, :, None] + cell).reshape(-1, 4)


def pyramid_anchors(
    config: AnchorConfig, shapes: Mapping[int, tuple[int, int]]
) -> dict[int, np.ndarray]:
    """The anchors of each level of a pyramid whose levels have the given (height, width)."""
    return {level: level_anchors(config, level, h, w) for level, (h, w) in shapes.items()}
