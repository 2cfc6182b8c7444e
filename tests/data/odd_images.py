"""Image files of kinds that OpenCV reads but does not write, byte for byte."""

import struct
import zlib

import numpy as np

# A TIFF header with a directory of one tag, the orientation (274); little-endian.
_TIFF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def exif(orientation: int) -> bytes:
    """What an EXIF segment or chunk holds, with one tag."""
    return _TIFF % orientation


def turned_jpeg(jpeg: bytes, orientation: int) -> bytes:
    """The same pixels, with an EXIF orientation."""
    content = b"Exif\0\0" + exif(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check_sum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check_sum)


def png(
    pixels: np.ndarray, *, colour_type: int, bits: int = 8, chunks: tuple[bytes, ...] = ()
) -> bytes:
    """A PNG of [h, w] or [h, w, c] pixels, in which ``chunks`` stand before the pixels."""
    height, width = pixels.shape[:2]
    if bits == 16:
        rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    elif bits == 8:
        rows = pixels.astype(np.uint8).reshape(height, -1)
    else:
        digits = (pixels.reshape(height, -1, 1) >> np.arange(bits)[::-1]) & 1
        rows = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"".join(
        [
            PNG_SIGNATURE,
            png_chunk(b"IHDR", header),
            *chunks,
            png_chunk(b"IDAT", zlib.compress(lines)),
            png_chunk(b"IEND", b""),
        ]
    )


def png_bomb(height: int, width: int) -> bytes:
    """Zeros of one bit a pixel: a thousand to eight thousand times smaller than they are."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    parts = [compressor.compress(row * 64) for _ in range(0, height, 64)]
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        PNG_SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", b"".join(parts) + compressor.flush())
        + png_chunk(b"IEND", b"")
    )


def cmyk_jpeg(ink: tuple[int, int, int, int], *, blocks: tuple[int, int]) -> bytes:
    """A JPEG of one colour in (rows, columns) of 8 x 8 pixels; ink as Adobe has it: 255 is none."""

    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content

    bits, before = "", [0] * 4
    for _ in range(blocks[0] * blocks[1]):
        for channel, value in enumerate(ink):
            # The mean alone; differences have a 4-bit code for their length, and end the block.
            difference = 8 * (value - 128) - before[channel]
            before[channel] += difference
            length = abs(difference).bit_length()
            digits = difference if difference >= 0 else difference + 2**length - 1
            bits += f"{length:04b}" + (f"{digits:0{length}b}" if length else "") + "0"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = struct.pack(">BHHB", 8, 8 * blocks[0], 8 * blocks[1], 4)
    lengths = bytes([0, 0, 0, 12] + [0] * 12), bytes([1] + [0] * 15)
    return b"".join(
        [
            b"\xff\xd8",
            segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0)),
            segment(0xDB, b"\0" + b"\1" * 64),
            segment(0xC0, frame + b"".join(bytes([i, 0x11, 0]) for i in (1, 2, 3, 4))),
            segment(0xC4, b"\x00" + lengths[0] + bytes(range(12))),
            segment(0xC4, b"\x10" + lengths[1] + b"\0"),
            segment(0xDA, b"\4" + b"".join(bytes([i, 0]) for i in (1, 2, 3, 4)) + b"\0\x3f\0"),
            scan,
            b"\xff\xd9",
        ]
    )
