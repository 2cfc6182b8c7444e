"""Images whose pixels are the numbers of objects."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt

from maskrcnn_jax.data import rle
from maskrcnn_jax.data.importers.annotated import Drawing
from maskrcnn_jax.errors import InputError

_FIRST_CHUNK = 8  # of a PNG, after its signature
_TYPES = (np.uint8, np.uint16)
# Of a PNG: the type of its colours, and the chunks that only a palette needs.
_COLOURS, _GREY, _PALETTE = 25, 0, 3
_OF_PALETTE = (b"PLTE", b"tRNS")


def read_ids(path: Path, *, mend: str) -> UInt[np.ndarray, "h w"]:
    """The numbers, by columns in memory, as masks are encoded. ``mend`` ends a message."""
    encoded = path.read_bytes()
    if encoded[_COLOURS : _COLOURS + 1] == bytes([_PALETTE]):
        encoded = b"".join(_without_palette(encoded))
    pixels = np.frombuffer(encoded, np.uint8)
    ids = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED) if pixels.size else None
    if ids is None or ids.ndim != 2 or ids.dtype not in _TYPES:
        raise InputError(f"{path}: is no PNG of one channel of 8 or 16 bits; {mend}.")
    return np.asfortranarray(ids)


def draw_object(
    ids: UInt[np.ndarray, "h w"], id: int, path: Path, *, label: str, is_crowd: bool = False
) -> Drawing:
    """The pixels that have a number."""
    mask = rle.encode(ids == id)
    return Drawing(where=f"{path}: {id}", label=label, segmentation=mask, is_crowd=is_crowd)


def _without_palette(encoded: bytes) -> Iterator[bytes]:
    """A PNG whose pixels are numbers of colours, as one of grey: OpenCV gives the colours."""
    yield encoded[:_FIRST_CHUNK]
    place = _FIRST_CHUNK
    while place + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, place)
        chunk = encoded[place : place + length + 12]
        if kind == b"IHDR":
            at = _COLOURS - _FIRST_CHUNK
            header = chunk[4:at] + bytes([_GREY]) + chunk[at + 1 : -4]
            chunk = chunk[:4] + header + struct.pack(">I", zlib.crc32(header))
        if kind not in _OF_PALETTE:
            yield chunk
        place += length + 12
