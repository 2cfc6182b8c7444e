import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.images import decode_image, read_image
from maskrcnn_jax.data.importers.image_files import find_picture, look_at, safe_name, shared_names
from maskrcnn_jax.errors import InputError
from tests.data.importers.exports import HEIGHT, WIDTH, photograph, write_photograph
from tests.data.odd_images import turned_jpeg

STORED, SIDEWAYS = (HEIGHT, WIDTH), (WIDTH, HEIGHT)


def turned(tmp_path, orientation):
    encoded = turned_jpeg(photograph(suffix=".jpg"), orientation)
    return write_photograph(tmp_path / "a.jpg", encoded)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_image_is_written_as_it_was_shown(tmp_path, orientation):
    path = turned(tmp_path, orientation)
    shown = STORED if orientation < 5 else SIDEWAYS
    for noted in (None, shown):
        picture = look_at(path, "here", noted=noted)
        assert (picture.size, picture.is_turned, picture.suffix) == (shown, True, ".png")
    written = decode_image(picture.content(), name="a.png", size=picture.size)
    np.testing.assert_array_equal(written, read_image(path))


def test_an_image_that_was_not_turned_when_it_was_annotated_is_left_as_it_is(tmp_path):
    """As in CVAT before 2022."""
    path = turned(tmp_path, 6)
    picture = look_at(path, "here", noted=STORED)
    assert (picture.size, picture.is_turned, picture.suffix) == (STORED, False, ".jpg")
    assert picture.content() == path.read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".JPG"])
def test_an_upright_image_is_taken_as_it_is(tmp_path, suffix):
    path = write_photograph(tmp_path / f"a{suffix}", photograph(suffix=suffix))
    picture = look_at(path, "here", noted=STORED)
    assert (picture.size, picture.is_turned, picture.suffix) == (STORED, False, suffix)


def test_another_size_is_refused(tmp_path):
    path = write_photograph(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"here: was made on .* 7 x 5 .* the image has 60 x 40;"):
        look_at(path, "here", noted=(5, 7))


def test_damaged_images_are_refused(tmp_path):
    cut = write_photograph(tmp_path / "a.png", photograph()[:100])
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        look_at(cut, "here", noted=None)
    with pytest.raises(InputError, match=r"b\.webp: not a readable image"):
        look_at(write_photograph(tmp_path / "b.webp", b"text"), "here", noted=None)
    with pytest.raises(InputError, match=r"here: .* neither JPEG nor PNG"):
        look_at(b"text", "here", noted=None)


def test_images_are_found_by_their_path_and_by_their_bare_name(tmp_path):
    image = write_photograph(tmp_path / "photos" / "sub" / "ünï.png")
    folders = [tmp_path, tmp_path / "photos"]
    assert find_picture("sub/ünï.png", folders, "here") == image
    assert find_picture("sub\\ünï.png", folders, "here") == image
    folders = [tmp_path / "photos" / "sub"]
    assert find_picture("/home/somebody/ünï.png", folders, "here") == image
    shared = shared_names(["/home/somebody/ünï.png", "/home/another\\ünï.png", "b.png", "b.png"])
    assert shared == {"ünï.png"}
    with pytest.raises(InputError, match=r"here: there is no image '/home/somebody/ünï\.png'"):
        find_picture("/home/somebody/ünï.png", folders, "here", shared=shared)
    with pytest.raises(InputError, match=r"here: there is no image 'b\.png' in .*sub\. Put it"):
        find_picture("b.png", folders, "here")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.b.jpg", "a.b"),
        ("x/a.jpg", "x/a"),
        ("x\\a.jpg", "x/a"),
        ("../../etc/a.jpg", "etc/a"),
        ("/etc/a.jpg", "etc/a"),
        ("x/../a.jpg", "x/a"),
    ],
)
def test_no_name_leads_out_of_a_folder(name, safe):
    assert safe_name(name) == safe


def test_a_grey_image_that_is_turned_keeps_its_grey(tmp_path):
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    jpeg = turned_jpeg(cv2.imencode(".jpg", grey)[1].tobytes(), 3)
    picture = look_at(write_photograph(tmp_path / "a.jpg", jpeg), "here", noted=None)
    written = decode_image(picture.content(), name="a.png", size=picture.size)
    assert np.ptp(written.astype(int), axis=-1).max() == 0
