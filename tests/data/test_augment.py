import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data import augment
from maskrcnn_jax.data.scenes import Scene, read_scene
from maskrcnn_jax.errors import InputError
from tests.data.samples import make_annotation, make_record

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = (48, 80)
# Boxes (x, y, w, h) of whole pixels within SIZE.
BOXES = st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(4, 20), st.integers(4, 18))


def scene_of_white_box(box) -> Scene:
    """A black image in which the one object is white."""
    x, y, w, h = box
    image = np.zeros((*SIZE, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    return read_scene(make_record(image, [make_annotation(box)]), mask_size=28)


def box_of_white(image):
    """XYXY of what is at least half white."""
    white = image[..., 0] >= 128
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@given(BOXES, st.integers(20, 120), st.integers(30, 200), st.booleans())
def test_boxes_and_frames_move_with_the_pixels(box, height, width, is_flipped):
    scene = augment.resize(scene_of_white_box(box), (height, width))
    if is_flipped:
        scene = augment.flip(scene)
    assert scene.size == (height, width)
    np.testing.assert_allclose(scene.boxes[0], box_of_white(scene.image), atol=1)
    np.testing.assert_allclose(scene.mask_frames, scene.boxes, atol=1e-9)


@given(BOXES)
def test_two_flips_are_none(box):
    scene = scene_of_white_box(box)
    twice = augment.flip(augment.flip(scene))
    for name in ("image", "boxes", "labels", "masks", "mask_frames"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(scene, name))


@given(BOXES, st.integers(20, 120), st.integers(30, 200))
def test_flip_and_resize_commute(box, height, width):
    scene = scene_of_white_box(box)
    a = augment.flip(augment.resize(scene, (height, width)))
    b = augment.resize(augment.flip(scene), (height, width))
    np.testing.assert_allclose(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.masks, b.masks)
    assert np.abs(a.image.astype(int) - b.image).max() <= 2  # OpenCV's fixed-point weights


def test_a_larger_canvas_is_grey_and_moves_nothing():
    scene = scene_of_white_box((10, 10, 8, 8))
    extended = augment.extend(scene, (60, 90))
    assert extended.size == (60, 90)
    np.testing.assert_array_equal(extended.image[: SIZE[0], : SIZE[1]], scene.image)
    assert (extended.image[SIZE[0] :] == 128).all()
    assert (extended.image[:, SIZE[1] :] == 128).all()
    for name in ("boxes", "labels", "masks", "mask_frames"):
        np.testing.assert_array_equal(getattr(extended, name), getattr(scene, name))
    assert augment.extend(scene, SIZE) is scene


def test_a_mask_is_mirrored_within_its_frame():
    triangle = [[10.0, 10.0, 30.0, 10.0, 10.0, 30.0]]
    image = np.zeros((*SIZE, 3), np.uint8)
    annotation = make_annotation((10, 10, 20, 20), segmentation=triangle)
    scene = read_scene(make_record(image, [annotation]), mask_size=28)
    flipped = augment.flip(scene)
    assert scene.masks[0, 20, 2]
    assert not scene.masks[0, 20, 25]
    np.testing.assert_array_equal(flipped.masks[0], scene.masks[0, :, ::-1])
    np.testing.assert_allclose(flipped.mask_frames[0], [50, 10, 70, 30])


def test_crowds_are_no_objects():
    image = np.zeros((*SIZE, 3), np.uint8)
    crowd = make_annotation((0, 0, 40, 40), is_crowd=True, label=7)
    person = make_annotation((5, 5, 10, 10), label=3)
    scene = read_scene(make_record(image, [crowd, person, crowd]), mask_size=28)
    assert scene.labels.tolist() == [3]
    assert scene.boxes.tolist() == [[5, 5, 15, 15]]


def test_an_image_of_another_size_than_annotated_is_an_error():
    record = make_record(np.zeros((*SIZE, 3), np.uint8), name="street.png")
    object.__setattr__(record, "width", 90)
    with pytest.raises(InputError, match=r"street\.png.* 48x80 .* 48x90"):
        read_scene(record, mask_size=28)
