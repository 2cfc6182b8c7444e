import struct

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.image_header import ImageHeader, read_header
from tests.data.fuzz_images import SIZE, sound_images
from tests.data.odd_images import PNG_SIGNATURE, exif, png, png_chunk, turned_jpeg

SOUND = sound_images()
PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
JPEG = cv2.imencode(".jpg", PHOTO)[1].tobytes()


def header(**changes):
    fields = {"format": "PNG", "size": SIZE, "colours": "rgb", "bits": 8}
    return ImageHeader(**({"has_alpha": False, "orientation": 1} | fields | changes))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jpeg", header(format="JPEG")),
        ("jpeg grey", header(format="JPEG", colours="grey")),
        ("jpeg progressive", header(format="JPEG")),
        ("jpeg restarts", header(format="JPEG")),
        ("jpeg turned", header(format="JPEG", orientation=6)),
        ("jpeg cmyk", header(format="JPEG", colours="cmyk")),
        ("png", header()),
        ("png grey alpha", header(colours="grey", has_alpha=True)),
        ("png alpha 16 bits", header(has_alpha=True, bits=16)),
        ("png palette", header(has_alpha=True, bits=4)),
        ("png turned", header(orientation=8)),
        ("webp", None),
        ("bmp", None),
    ],
)
def test_headers_say_what_is_in_the_file(name, expected):
    assert read_header(SOUND[name]) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_upright_size_is_what_opencv_turns_the_image_to(orientation):
    for encoded in (
        turned_jpeg(JPEG, orientation),
        png(PHOTO, colour_type=2, chunks=(png_chunk(b"eXIf", exif(orientation)),)),
    ):
        found = read_header(encoded)
        assert found is not None
        assert found.orientation == orientation
        upright = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        assert found.upright_size == upright.shape[:2]


@pytest.mark.parametrize("name", [name for name in SOUND if name.startswith(("jpeg", "png"))])
def test_a_file_that_was_cut_or_overwritten_with_zeros_is_damaged(name):
    """OpenCV decodes many of the latter."""
    whole = SOUND[name]
    for kept in range(8, len(whole) - 12, 13):
        for damaged in (whole[:kept], whole[:kept] + bytes(len(whole) - kept)):
            with pytest.raises(ValueError, match=r"damaged|incomplete|not found"):
                read_header(damaged)


def test_what_follows_the_end_does_not_matter():
    for name in ("jpeg", "png"):
        assert read_header(SOUND[name] + b"\0\xff\xd9 more") == read_header(SOUND[name])


def test_chunks_longer_than_the_file_are_damage():
    """OpenCV allocates 2 GB for this one before it finds that out."""
    chunk = struct.pack(">I4s", 2**31 - 1, b"tEXt")
    whole = png(PHOTO, colour_type=2)
    place = whole.index(b"IDAT") - 4
    with pytest.raises(ValueError, match="damaged or incomplete"):
        read_header(whole[:place] + chunk + whole[place:])


@pytest.mark.parametrize(
    "content", [b"", b"II*\0", exif(9), exif(0), exif(6)[:-8], b"MM" + bytes(9)]
)
def test_a_damaged_orientation_is_none(content):
    encoded = png(PHOTO, colour_type=2, chunks=(png_chunk(b"eXIf", content),))
    found = read_header(encoded)
    assert found is not None
    assert found.orientation == 1


def test_big_endian_orientations_are_read():
    content = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, 3, 0, 0)
    found = read_header(turned_jpeg(JPEG, 1).replace(exif(1), content))
    assert found is not None
    assert found.orientation == 3


def test_a_thumbnail_is_not_the_image():
    """A JPEG inside of an EXIF segment has a size of its own."""
    thumbnail = cv2.imencode(".jpg", PHOTO[:8, :8])[1].tobytes()
    segment = b"Exif\0\0" + exif(1) + thumbnail
    encoded = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + JPEG[2:]
    assert read_header(encoded) == read_header(JPEG)


def test_other_files_have_no_header():
    for other in (b"", b"\xff\xd8", PNG_SIGNATURE[:-1], b"GIF89a", b"text"):
        assert read_header(other) is None
