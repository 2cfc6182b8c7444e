"""Pixels on the host: decode, read, resize, pad. Images are RGB, uint8, (height, width, 3)."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError


def decode_image(encoded: bytes, *, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes an image of a data set; ``name`` is for the error message.

    The EXIF orientation is ignored: annotations are made on the pixels as they are stored.
    """
    return _decode(encoded, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION, name)


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads any image file upright, as a person sees it: the EXIF orientation is applied.

    Grey becomes RGB, 16 bits become 8, an alpha channel is dropped.
    """
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    return _decode(encoded, cv2.IMREAD_COLOR_RGB, str(path))


def resize_image(image: UInt8[np.ndarray, "h w 3"], size: Size) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Resizes to (height, width): bilinear to enlarge, the mean of the covered area to shrink.

    Bilinear interpolation aliases when it shrinks. The area mean is antialiased and closer to the
    bilinear filter of Pillow, with which Detectron2 trained: on COCO images a mean difference of
    0.8 against 1.5 grey levels at scale 0.8, 1.9 against 6.7 at 0.3.
    """
    if size == image.shape[:2]:
        return image
    shrinks = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, size[::-1], interpolation=interpolation)


def pad_image(image: UInt8[np.ndarray, "h w 3"], size: Size) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Puts the image at the top left of zeros of (height, width)."""
    padded = np.zeros((*size, 3), np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded


def _decode(encoded: bytes, flags: int, name: str) -> UInt8[np.ndarray, "h w 3"]:
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error:  # an empty buffer, or more pixels than OpenCV allows
        image = None
    if image is None:
        raise InputError(
            f"{name}: not a readable image ({len(encoded)} bytes). The file is damaged, incomplete "
            "or of an unsupported format: replace it, or remove it and its annotations."
        )
    return image
