from collections import Counter

import numpy as np
import pytest

from maskrcnn_jax.data.importers.annotated import AnnotatedImage, Drawing, numbered
from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.image_files import Picture
from maskrcnn_jax.data.rle import encode, encode_part
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle

SIZE = 20, 30
PICTURE = Picture(source=b"", suffix=".png", size=SIZE, is_turned=False)


def drawing(segmentation, **other):
    return Drawing(where="here", label="cat", segmentation=segmentation, **other)


def objects(*drawings):
    """Annotations of one image, and how many were left out."""
    image = AnnotatedImage(name="a", picture=PICTURE, drawings=drawings)
    left_out = Counter()
    content = to_coco([image], numbered(["cat"]), left_out)
    return content["annotations"], left_out.total()


def test_what_sticks_out_is_cut_off():
    (found,), _ = objects(drawing([[-10, 5, 40, 5, 40, 15, -10, 15]]))
    assert found["bbox"] == [0, 5, 30, 10]
    assert found["area"] == 300


@pytest.mark.parametrize(
    "segmentation",
    [
        [[-10, 5, -1, 5, -1, 15]],  # outside
        [[5, 5, 9, 9, 5, 5]],  # a line
        [[5, 5, 5, 5, 5, 5]],
        encode(np.zeros(SIZE, bool)),
    ],
)
def test_what_covers_nothing_is_left_out_and_counted(segmentation):
    assert objects(drawing(segmentation)) == ([], 1)
    sound = drawing([[5, 5, 15, 5, 15, 15, 5, 15]], group=1)
    found, left_out = objects(drawing(segmentation, group=1), sound)
    assert (found[0]["bbox"], left_out) == ([5, 5, 10, 10], 0)


def test_a_polygon_inside_stays_as_it_is_written():
    polygon = [5.25, 5, 15.1, 5, 1 / 3, 15]
    (found,), _ = objects(drawing([polygon]))
    assert found["segmentation"] == [polygon]
    assert found["bbox"] == pytest.approx([1 / 3, 5, 15.1 - 1 / 3, 10])


def test_polygons_and_pixels_of_one_object_become_pixels():
    block = encode_part(np.ones((3, 4), bool), left=20, top=2, size=SIZE)
    square = [[5, 5, 10, 5, 10, 10, 5, 10]]
    (found,), _ = objects(drawing(square, group="x"), drawing(block, group="x"))
    expected = np.zeros(SIZE, bool)
    expected[5:10, 5:10] = expected[2:5, 20:24] = True
    np.testing.assert_array_equal(rle.decode(found["segmentation"]), expected)
    assert (found["bbox"], found["area"]) == ([5, 2, 19, 8], 37)


def test_crowds_stay_crowds():
    (found,), _ = objects(drawing(encode(np.ones(SIZE, bool)), is_crowd=True))
    assert found["iscrowd"] == 1


def test_outlines_longer_than_any_image_are_refused():
    zigzag = [0, 0, 2**23, 1] * 4
    with pytest.raises(InputError, match=r"here: polygon .* is longer"):
        objects(drawing([zigzag]))
