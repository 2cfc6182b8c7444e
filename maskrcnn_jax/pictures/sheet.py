"""Many pictures on one sheet, each under its lines of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_FONT, _LETTERS, _INK, _PAPER = cv2.FONT_HERSHEY_DUPLEX, 0.5, (20, 20, 20), 255
_LINE, _GAP = 20, 8  # pixels


@dataclass(frozen=True, kw_only=True)
class Tile:
    picture: np.ndarray  # uint8 RGB [h, w, 3]
    lines: tuple[str, ...]


def sheet(tiles: Sequence[Tile], *, columns: int | None = None) -> np.ndarray:
    """The tiles row by row; by default about as high as it is wide."""
    height, width, _ = np.max([tile.picture.shape for tile in tiles], axis=0)
    columns = columns or math.ceil(math.sqrt(len(tiles) * height / width))
    starts = range(0, len(tiles), columns)
    rows = [[_cell(tile, width) for tile in tiles[i : i + columns]] for i in starts]
    full = columns * (width + _GAP) + _GAP
    gap = np.full((_GAP, full, 3), _PAPER, np.uint8)
    return np.concatenate([part for row in rows for part in (gap, _row(row, full))] + [gap])


def _cell(tile: Tile, width: int) -> np.ndarray:
    """The lines, and the picture below them."""
    top = _LINE * len(tile.lines)
    height, picture_width = tile.picture.shape[:2]
    cell = np.full((top + height, width, 3), _PAPER, np.uint8)
    cell[top:, :picture_width] = tile.picture
    for number, line in enumerate(tile.lines, start=1):
        (length, _), _ = cv2.getTextSize(line, _FONT, _LETTERS, 1)
        letters = _LETTERS * min(1, width / max(length, 1))
        cv2.putText(cell, line, (0, number * _LINE - 6), _FONT, letters, _INK, 1, cv2.LINE_AA)
    return cell


def _row(cells: Sequence[np.ndarray], width: int) -> np.ndarray:
    row = np.full((max(len(cell) for cell in cells), width, 3), _PAPER, np.uint8)
    left = _GAP
    for cell in cells:
        row[: len(cell), left : left + cell.shape[1]] = cell
        left += cell.shape[1] + _GAP
    return row


def encode_picture(picture: np.ndarray, *, suffix: str = ".png") -> bytes:
    """The contents of an image file of this kind."""
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
