"""Pixels on the host: decode, read, resize, pad. Images are RGB, uint8, (height, width, 3)."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.image_header import ImageHeader, read_header
from maskrcnn_jax.data.problems import DataError, Kind
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError

# 16384 x 16384: 0.8 GB when decoded. A file of some kB can ask for that. Of a data set, and in JPEG
# and PNG files; of another format, a picture to predict on may have the 2^30 that OpenCV allows.
MAX_PIXELS = 2**28
_MAX_SIDE = 2**20  # OpenCV's


def has_too_many_pixels(size: Size) -> bool:
    """Says whether an image of this size is not even tried to be decoded."""
    return size[0] * size[1] > MAX_PIXELS or max(size) > _MAX_SIDE


def decode_image(encoded: bytes, *, name: str, size: Size) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes an image of a data set, annotated as (height, width); ``name`` is for messages.

    The EXIF orientation is ignored: annotations are made on the pixels as they are stored. A JPEG
    or PNG of another size is refused before it is decoded.
    """
    header = _read_header(encoded, name)
    if header:
        _check_size(header.size, size, header=header, name=name)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = _decode(encoded, flags, name, header=header)
    _check_size(image.shape[:2], size, header=header, name=name)
    return image


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads any image file upright, as a person sees it: the EXIF orientation is applied.

    Grey becomes RGB, 16 bits become 8, an alpha channel is dropped.
    """
    try:
        encoded = path.read_bytes()
    except OSError as error:
        text = f"cannot be read: {error.strerror}."
        raise DataError(Kind.UNREADABLE_IMAGE, text, where=str(path)) from error
    header = _read_header(encoded, str(path))
    return _decode(encoded, cv2.IMREAD_COLOR_RGB, str(path), header=header)


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


def _read_header(encoded: bytes, name: str) -> ImageHeader | None:
    try:
        return read_header(encoded)
    except ValueError:
        raise _unreadable(encoded, name) from None


def _decode(
    encoded: bytes, flags: int, name: str, *, header: ImageHeader | None
) -> UInt8[np.ndarray, "h w 3"]:
    if header and has_too_many_pixels(header.size):
        text = f"{_shown(header.size)} pixels are more than can be read ({MAX_PIXELS}). Shrink it."
        raise DataError(Kind.HUGE_IMAGE, text, where=name)
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error:  # an empty buffer, or more pixels than OpenCV allows
        image = None
    if image is None:
        raise _unreadable(encoded, name)
    return image


def _unreadable(encoded: bytes, name: str) -> DataError:
    text = (
        f"not a readable image ({len(encoded)} bytes). The file is damaged, incomplete or of "
        "an unsupported format: replace it, or remove it and its annotations."
    )
    return DataError(Kind.UNREADABLE_IMAGE, text, where=name)


def _check_size(found: Size, annotated: Size, *, header: ImageHeader | None, name: str) -> None:
    if found == annotated:
        return
    text = (
        f"the image is {_shown(found)} (height x width), but its annotation says "
        f"{_shown(annotated)}. "
    )
    if header and header.upright_size == annotated:
        text += (
            f"That is its size when it is turned, as its EXIF orientation {header.orientation} "
            "asks for: save the image turned, without that entry."
        )
        raise DataError(Kind.TURNED_IMAGE, text, where=name)
    text += "Correct the annotation file, or restore the image on which it was made."
    raise DataError(Kind.OTHER_IMAGE_SIZE, text, where=name)


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def check_pixels(image: np.ndarray) -> None:
    """Raises ``InputError`` for an array that is not uint8 RGB [h, w, 3]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"an image must be an array of uint8 from 0 to 255, not {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(
            f"an image must be [height, width, 3] in RGB, not {list(image.shape)}; of an image "
            "with transparency give the first three channels, of a grey one three equal channels"
        )
