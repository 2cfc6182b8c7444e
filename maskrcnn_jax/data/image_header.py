"""What a JPEG or PNG file says about itself, and whether it is whole, without decoding it.

OpenCV decodes what is left of a JPEG whose end was overwritten with zeros, as happens when a
computer stops while it writes, and allocates what the damaged length of a chunk of a PNG asks for.

Sources: JPEG, ITU T.81 annex B; PNG, W3C PNG 3; Exif orientation, CIPA DC-008, tag 274.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from maskrcnn_jax.data.sizes import Size

Colours: TypeAlias = Literal["grey", "rgb", "cmyk"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PNG_COLOURS: dict[int, Colours] = {0: "grey", 2: "rgb", 3: "rgb", 4: "grey", 6: "rgb"}
_JPEG_COLOURS: dict[int, Colours] = {1: "grey", 3: "rgb", 4: "cmyk"}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of segments that hold the size
_START_OF_SCAN = 0xDA
_APP1 = 0xE1
_ALONE = (0x00, 0xFF, *range(0xD0, 0xD9))  # no markers, or markers without a segment
_JPEG_END = b"\xff\xd9"
_EXIF = b"Exif\0\0"


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    format: Literal["JPEG", "PNG"]
    size: Size  # of the pixels as they are stored
    colours: Colours
    has_alpha: bool
    bits: int  # of a channel
    orientation: int  # Exif: 1 is upright, 5 to 8 lie on their side

    @property
    def upright_size(self) -> Size:
        """The size as a viewer that heeds the orientation shows it."""
        height, width = self.size
        return (width, height) if self.orientation >= 5 else (height, width)


def read_header(encoded: bytes) -> ImageHeader | None:
    """The header of a JPEG or PNG, and None for what is neither.

    Raises:
      ValueError: it is one of these by its first bytes, but damaged or incomplete.
    """
    try:
        if encoded.startswith(_PNG):
            return _png_header(encoded)
        if encoded.startswith(_JPEG):
            return _jpeg_header(encoded)
    except (struct.error, KeyError) as error:
        raise ValueError("damaged or incomplete") from error
    return None


def _png_header(encoded: bytes) -> ImageHeader:
    width, height, bits, colours = struct.unpack_from(">IIBB", encoded, 16)
    chunks = dict(_png_chunks(encoded))
    return ImageHeader(
        format="PNG",
        size=(height, width),
        colours=_PNG_COLOURS[colours],
        has_alpha=colours in (4, 6) or b"tRNS" in chunks,
        bits=bits,
        orientation=_orientation(chunks.get(b"eXIf", b"")),
    )


def _png_chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk to the last one, but for the pixels."""
    place, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", encoded, place)
        if kind != b"IDAT":
            yield kind, encoded[place + 8 : place + 8 + length]
        place += length + 12


def _jpeg_header(encoded: bytes) -> ImageHeader:
    segments = list(_jpeg_segments(encoded))
    exif = [content for marker, content in segments if marker == _APP1 and content[:6] == _EXIF]
    frames = [content for marker, content in segments if marker in _FRAMES]
    bits, height, width, channels = struct.unpack_from(">BHHB", frames[0] if frames else b"")
    return ImageHeader(
        format="JPEG",
        size=(height, width),
        colours=_JPEG_COLOURS[channels],
        has_alpha=False,
        bits=bits,
        orientation=_orientation(exif[0][len(_EXIF) :] if exif else b""),
    )


def _jpeg_segments(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the first scan, after which the end must follow.

    Bytes between segments are passed over, as decoders do.
    """
    place, marker = 2, 0
    while marker != _START_OF_SCAN:
        place = encoded.index(b"\xff", place)
        marker, length = struct.unpack_from(">BH", encoded, place + 1)
        if marker in _ALONE:
            place += 1
            continue
        yield marker, encoded[place + 4 : place + 2 + length]
        place += 2 + length
    if encoded.rfind(_JPEG_END) < place:
        raise ValueError("incomplete")


def _orientation(tiff: bytes) -> int:
    """The orientation among the tags of the first directory of a TIFF header; 1 where it is not."""
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (num_tags,) = struct.unpack_from(f"{order}H", tiff, directory)
        for place in range(directory + 2, directory + 2 + 12 * num_tags, 12):
            tag, value = struct.unpack_from(f"{order}H6xH", tiff, place)
            if tag == 274 and 1 <= value <= 8:
                return value
    except struct.error:
        pass
    return 1
