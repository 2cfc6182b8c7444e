"""Colours that tell drawn objects apart."""

import cv2
import numpy as np

_FIRST_HUE = 0.58  # blue
_SHADES = np.array([[0.66, 1.0], [0.44, 1.0], [0.8, 0.86]])  # saturation and value
_GREY = (150, 150, 150)
_GOLDEN = (np.sqrt(5) - 1) / 2  # its multiples, modulo 1, spread evenly however many there are
_FEW_CLASSES = 12  # that share the circle of hues evenly; with more, sectors overlap


def instance_colours(labels: np.ndarray, *, num_classes: int) -> np.ndarray:
    """A colour, uint8 RGB [n, 3], for each instance.

    Every class owns a sector of the hues, and so keeps its colour from image to image. Instances
    of a class spread over its sector, the k-th always at the same place, and vary in shade.
    """
    labels = np.asarray(labels)
    rank = np.array([np.count_nonzero(labels[:i] == labels[i]) for i in range(len(labels))], int)
    start = labels / num_classes if num_classes <= _FEW_CLASSES else labels * _GOLDEN
    turn = start + max(0.75 / num_classes, 0.08) * (rank * _GOLDEN % 1)
    return _colours(turn, rank)


def identity_colours(identities: np.ndarray) -> np.ndarray:
    """A colour, uint8 RGB [n, 3], for each identity of an object in a video, alike in all frames.

    Successive identities differ most, for they are those seen together. 0, an object that has none
    yet, is grey.
    """
    identities = np.asarray(identities)
    colours = _colours(identities * _GOLDEN, identities)
    colours[identities == 0] = _GREY
    return colours


def _colours(turn: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """uint8 RGB [n, 3] of hues, in turns of their circle, and ranks, from which come the shades."""
    hue = 360 * ((turn + _FIRST_HUE) % 1)
    saturation, value = _SHADES[rank % len(_SHADES)].T
    hsv = np.stack([hue, saturation, value], -1).astype(np.float32)
    rgb = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0] if len(hsv) else hsv
    return np.round(255 * rgb).astype(np.uint8)
