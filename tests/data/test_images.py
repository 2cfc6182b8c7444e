import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.images import (
    decode_image,
    has_too_many_pixels,
    pad_image,
    read_image,
    resize_image,
)
from maskrcnn_jax.data.problems import DataError, Kind
from maskrcnn_jax.errors import InputError
from tests.data.odd_images import cmyk_jpeg, png_bomb, turned_jpeg

SIZE = (40, 64)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A smooth RGB image, the same from no two sides."""
    y, x = np.mgrid[:40, :64]
    return np.stack([3 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)


def encode(image, extension=".png"):
    return cv2.imencode(extension, image)[1].tobytes()


def test_colours_are_rgb(photo):
    np.testing.assert_array_equal(
        decode_image(encode(photo[..., ::-1]), name="a.png", size=SIZE), photo
    )


def test_data_set_images_stay_as_stored_and_user_images_are_turned_upright(photo, tmp_path):
    encoded = turned_jpeg(encode(photo[..., ::-1], ".jpg"), 6)
    stored = decode_image(encoded, name="a.jpg", size=SIZE)
    assert stored.shape == (40, 64, 3)
    (tmp_path / "a.jpg").write_bytes(encoded)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.rot90(stored, -1))


def test_grey_alpha_and_16_bits_become_rgb(photo, tmp_path):
    grey = photo[..., 0]
    bgr = photo[..., ::-1]
    images = {
        "grey": (grey, np.stack([grey] * 3, axis=-1)),
        "alpha": (np.dstack([bgr, grey]), photo),
        "deep": (bgr.astype(np.uint16) * 257, photo),
        "deep_grey": (grey.astype(np.uint16) * 257, np.stack([grey] * 3, axis=-1)),
    }
    for name, (stored, expected) in images.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(encode(stored))
        np.testing.assert_array_equal(read_image(path), expected, err_msg=name)


def test_ink_becomes_rgb(tmp_path):
    for ink, expected in (
        ((0, 255, 255, 255), (0, 255, 255)),
        ((255, 255, 0, 255), (255, 255, 0)),
        ((255, 255, 255, 0), (0, 0, 0)),
        ((200, 100, 50, 220), (173, 87, 44)),
    ):
        image = decode_image(cmyk_jpeg(ink, blocks=(2, 3)), name="a.jpg", size=(16, 24))
        assert np.abs(image.astype(int) - expected).max() <= 1


def test_an_image_of_another_size_is_refused(photo):
    jpeg = encode(photo, ".jpg")
    for encoded, kind, message in (
        (encode(photo), Kind.OTHER_IMAGE_SIZE, "40x64 .* but its annotation says 64x40"),
        (encode(photo, ".webp"), Kind.OTHER_IMAGE_SIZE, "40x64 .* but its annotation says 64x40"),
        (turned_jpeg(jpeg, 3), Kind.OTHER_IMAGE_SIZE, "40x64 .* but its annotation says 64x40"),
        (turned_jpeg(jpeg, 8), Kind.TURNED_IMAGE, "as its EXIF orientation 8 asks for"),
    ):
        with pytest.raises(DataError, match=message) as error:
            decode_image(encoded, name="street.jpg", size=SIZE[::-1])
        assert error.value.problem.kind is kind
        assert error.value.problem.where == "street.jpg"


def test_no_more_pixels_are_decoded_than_there_may_be():
    side = 2**14
    assert not has_too_many_pixels((side, side))
    for size in ((side, side + 1), (2**20 + 1, 1), (1, 2**20 + 1), (2**40, 2**40)):
        assert has_too_many_pixels(size)
    with pytest.raises(DataError, match=r"street\.png: 16384x16392 pixels are more than can be"):
        decode_image(png_bomb(side, side + 8), name="street.png", size=(side, side + 8))


@pytest.mark.parametrize("keep", [0, 10, 0.5])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_damaged_images_are_named(photo, extension, keep):
    encoded = encode(photo, extension)
    damaged = encoded[: keep if isinstance(keep, int) else int(keep * len(encoded))]
    with pytest.raises(InputError, match=r"street\.jpg.*not a readable image"):
        decode_image(damaged, name="street.jpg", size=SIZE)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.jpg.*No such file"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(InputError, match=r"directory"):
        read_image(tmp_path)
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(InputError, match=r"text\.jpg.*not a readable image"):
        read_image(tmp_path / "text.jpg")


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 255))
def test_resizing_keeps_a_flat_image(height, width, grey):
    flat = np.full((40, 64, 3), grey, np.uint8)
    resized = resize_image(flat, (height, width))
    assert resized.shape == (height, width, 3)
    assert (resized == grey).all()


def test_resizing_keeps_a_ramp_in_place():
    """Pixel centres stay where they are: at scale s, pixel i of the result is at (i + .5) / s."""
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (40, 60, 3))
    for width in (30, 45, 90, 120):
        resized = resize_image(np.ascontiguousarray(ramp), (40, width))[0, :, 0]
        expected = 4 * ((np.arange(width) + 0.5) * 60 / width - 0.5)
        inner = slice(2, -2)
        np.testing.assert_allclose(resized[inner], expected[inner], atol=1)


def test_shrinking_does_not_alias():
    """Stripes narrower than a pixel of the result become grey instead of coarser stripes."""
    stripes = np.zeros((90, 90, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize_image(stripes, (20, 20)).astype(int)) < 60


def test_padding_is_zero_and_below_and_right(photo):
    padded = pad_image(photo, (64, 96))
    np.testing.assert_array_equal(padded[:40, :64], photo)
    assert padded.sum(dtype=int) == photo.sum(dtype=int)
    assert padded.shape == (64, 96, 3)
