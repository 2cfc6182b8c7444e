import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.images import decode_image, pad_image, read_image, resize_image
from maskrcnn_jax.errors import InputError

# A JPEG segment that says: stored lying on its side, turn it clockwise (EXIF orientation 6).
ORIENTATION_6 = (
    b"\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00"
    b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A smooth RGB image, the same from no two sides."""
    y, x = np.mgrid[:40, :64]
    return np.stack([3 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)


def encode(image, extension=".png"):
    return cv2.imencode(extension, image)[1].tobytes()


def turned_jpeg(image):
    encoded = encode(image[..., ::-1], ".jpg")
    return encoded[:2] + ORIENTATION_6 + encoded[2:]


def test_colours_are_rgb(photo):
    np.testing.assert_array_equal(decode_image(encode(photo[..., ::-1]), name="a.png"), photo)


def test_data_set_images_stay_as_stored_and_user_images_are_turned_upright(photo, tmp_path):
    encoded = turned_jpeg(photo)
    stored = decode_image(encoded, name="a.jpg")
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


@pytest.mark.parametrize("keep", [0, 10, 0.5])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_damaged_images_are_named(photo, extension, keep):
    encoded = encode(photo, extension)
    damaged = encoded[: keep if isinstance(keep, int) else int(keep * len(encoded))]
    with pytest.raises(InputError, match=r"street\.jpg.*not a readable image"):
        decode_image(damaged, name="street.jpg")


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
