import base64

import numpy as np
import pytest

from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.labelme import read_labelme
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from tests.data.importers.exports import (
    HEIGHT,
    WIDTH,
    labelme_mask,
    labelme_shape,
    photograph,
    write_json,
    write_labelme,
)
from tests.data.odd_images import png_bomb, turned_jpeg

TRIANGLE = [[5, 5], [25, 5], [5, 25.5]]


def read(folder, **options):
    return read_labelme(folder, **{"images": None, "unlabelled": None} | options)


def annotations(folder, **options):
    found = read(folder, **options)
    return to_coco(found.images, found.categories, found.left_out)["annotations"]


def masks(folder):
    return [
        rle.decode(rle.compressed(item["segmentation"], height=HEIGHT, width=WIDTH))
        for item in annotations(folder)
    ]


def test_shapes_are_what_was_drawn(tmp_path):
    block = np.zeros((6, 4), bool)
    block[1:, :3] = True
    shapes = [
        labelme_shape("polygon", TRIANGLE),
        labelme_shape("rectangle", [[20, 30], [10, 12]], label="dog"),
        labelme_shape("circle", [[30, 20], [30, 30]]),
        labelme_shape("oriented_rectangle", [[30, 10], [40, 20], [30, 30], [20, 20]]),
        labelme_mask(block, 7, 9),
    ]
    write_labelme(tmp_path, "a", shapes)
    found = annotations(tmp_path)
    assert found[0]["segmentation"] == [[5, 5, 25, 5, 5, 25.5]]
    assert found[1]["bbox"] == [10, 12, 10, 18]
    assert found[2]["bbox"] == pytest.approx([20, 10, 20, 20], abs=0.1)
    assert found[2]["area"] == pytest.approx(np.pi * 100, rel=0.02)
    assert found[3]["bbox"] == [20, 10, 20, 20]
    assert found[4]["bbox"] == [7, 10, 3, 5]
    assert found[4]["area"] == 15
    assert masks(tmp_path)[4][10:15, 7:10].all()
    assert [item["category_id"] for item in found] == [1, 2, 1, 1, 1]
    assert [category.name for category in read(tmp_path).categories] == ["cat", "dog"]


def test_a_shape_without_a_kind_is_a_polygon(tmp_path):
    shape = labelme_shape("polygon", TRIANGLE)
    del shape["shape_type"], shape["group_id"]
    write_labelme(tmp_path, "a", [shape])
    assert len(annotations(tmp_path)) == 1


def test_shapes_of_one_group_and_label_are_one_object(tmp_path):
    block = np.ones((3, 3), bool)
    other = [[30, 30], [35, 30], [35, 35]]
    shapes = [
        labelme_shape("polygon", TRIANGLE, group_id=1),
        labelme_shape("polygon", other, group_id=1),
        labelme_shape("polygon", other, group_id=1, label="dog"),
        labelme_shape("polygon", other, group_id=2),
        labelme_mask(block, 0, 0, group_id=2),
    ]
    write_labelme(tmp_path, "a", shapes)
    found = annotations(tmp_path)
    assert [item["category_id"] for item in found] == [1, 2, 1]
    assert found[0]["bbox"] == [5, 5, 30, 30]
    assert len(found[0]["segmentation"]) == 2
    mask = masks(tmp_path)[2]
    assert mask[:3, :3].all()
    assert mask[31:33, 33:35].all()


def test_a_mask_may_stick_out_of_its_image(tmp_path):
    block = np.arange(30).reshape(5, 6) % 7 == 0
    for left, top in ((-2, -1), (WIDTH - 3, HEIGHT - 2)):
        write_labelme(tmp_path, "a", [labelme_mask(block, left, top)])
        canvas = np.zeros((HEIGHT + 20, WIDTH + 20), bool)
        canvas[10 + top : 15 + top, 10 + left : 16 + left] = block
        np.testing.assert_array_equal(masks(tmp_path)[0], canvas[10:-10, 10:-10])


def test_what_has_no_area_is_counted(tmp_path):
    shapes = [
        labelme_shape("point", [[3, 3]]),
        labelme_shape("linestrip", TRIANGLE),
        labelme_shape("linestrip", TRIANGLE),
        labelme_shape("circle", [[3, 3], [3, 3]]),
    ]
    write_labelme(tmp_path, "a", shapes)
    found = read(tmp_path)
    to_coco(found.images, found.categories, found.left_out)
    assert dict(found.left_out) == {
        "shape without area (point)": 1,
        "shape without area (linestrip)": 2,
        "object that covers nothing of its image": 1,
    }


def test_images_are_named_after_their_files_in_folders(tmp_path):
    for folder in ("x", "ünï"):
        write_labelme(tmp_path / folder, "a", [])
    assert [image.file_name for image in read(tmp_path).images] == ["x/a.png", "ünï/a.png"]


def test_images_lie_beside_elsewhere_or_inside_the_file(tmp_path):
    write_labelme(tmp_path / "json", "a", [], imagePath="..\\photos\\a.png")
    image = tmp_path / "json" / "a.png"
    assert read(tmp_path / "json").images[0].picture.source == image
    other = image.rename(tmp_path / "a.png")
    assert read(tmp_path / "json", images=tmp_path).images[0].picture.source == other
    nearer = tmp_path / "images" / "json" / "a.png"
    nearer.parent.mkdir(parents=True)
    nearer.write_bytes(other.read_bytes())
    (found,) = read(tmp_path, images=tmp_path / "images").images
    assert found.picture.source == nearer
    with pytest.raises(InputError, match=r"a\.json: there is no image '\.\./photos/a\.png' in"):
        read(tmp_path / "json")
    embedded = base64.b64encode(photograph()).decode()
    write_labelme(tmp_path / "json", "a", [], imageData=embedded)
    image.unlink()
    picture = read(tmp_path / "json").images[0].picture
    assert (picture.source, picture.suffix) == (photograph(), ".png")


def test_the_size_that_labelme_noted_is_that_of_the_upright_image(tmp_path):
    path = write_labelme(tmp_path, "a", [], imageHeight=WIDTH, imageWidth=HEIGHT)
    with pytest.raises(InputError, match=r"a\.json: was made on an image of 40 x 60 pixels"):
        read(tmp_path)
    path.with_suffix(".png").write_bytes(turned_jpeg(photograph(suffix=".jpg"), 8))
    assert read(tmp_path).images[0].picture.is_turned


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (labelme_shape("polygon", TRIANGLE[:2]), r"shape 0 \(cat\): is a polygon of 2 points"),
        (labelme_shape("polygon", [[1, 2], [3, 4], [5]]), "'points' holds .*5.*not a point"),
        (labelme_shape("polygon", [[1, 2], [3, 4], [5, "6"]]), "'points' is '6'; it must be"),
        (labelme_shape("polygon", [[1, 2], [3, 4], [5, 1e300]]), "'points' is 1e.300; it must be"),
        (labelme_shape("polygon", [[1, 2], [3, 4], [5, float("nan")]]), "'points' is nan"),
        (labelme_shape("polygon", [[1, 2], [3, 4], [5, True]]), "'points' is True"),
        (labelme_shape("rectangle", TRIANGLE), "a rectangle has 2 points, not 3"),
        (labelme_shape("circle", TRIANGLE[:1]), "a circle has 2 points, not 1"),
        (labelme_shape("star", TRIANGLE), "no way to read a shape_type 'star'"),
        (labelme_shape("polygon", TRIANGLE, label=None), "shape 0: has no label; .*--unlabelled"),
        (labelme_shape("polygon", TRIANGLE, label=" "), "has no label"),
        (labelme_shape("polygon", TRIANGLE, label=7), r"shape 0 \(7\): 'label' is 7; it must be a"),
        (labelme_shape("polygon", TRIANGLE, group_id=[1]), "'group_id' is .1.; it must be an int"),
        (labelme_shape("mask", TRIANGLE[:2]), "has no 'mask'"),
        (labelme_shape("mask", TRIANGLE[:2], mask="%"), "'mask' is not base64"),
        (labelme_shape("mask", TRIANGLE[:2], mask="aGFsbG8="), "'mask' is no PNG"),
        (
            labelme_shape(
                "mask", TRIANGLE[:2], mask=base64.b64encode(png_bomb(9999, 9999)).decode()
            ),
            "'mask' is no PNG as large as the image or smaller",
        ),
        ("text", "shape 0: is 'text', not an object"),
    ],
)
def test_what_cannot_be_read_names_file_and_shape(tmp_path, shape, message):
    write_labelme(tmp_path, "a", [shape])
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "a.json"))


def test_labels_can_be_given(tmp_path):
    write_labelme(tmp_path, "a", [labelme_shape("polygon", TRIANGLE, label=None)])
    assert [category.name for category in read(tmp_path, unlabelled="x").categories] == ["x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "a.json: is not valid JSON"),
        ("[]", "a.json: holds .* where an object must be"),
        ("{}", "a.json: has no 'shapes'"),
        ('{"shapes": []}', "a.json: has no 'imagePath'"),
        ('{"shapes": {}}', "a.json: 'shapes' is {}; it must be a list"),
    ],
)
def test_files_that_are_not_of_labelme_are_refused(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no folder with JSON files"):
        read(tmp_path)
    write_json(tmp_path / "sub" / "x.json", {})
    with pytest.raises(InputError, match=r"sub.x\.json: has no 'shapes'"):
        read(tmp_path)
