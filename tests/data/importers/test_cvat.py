import numpy as np
import pytest

from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.cvat import read_cvat
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from tests.data.importers.exports import HEIGHT, WIDTH, write_cvat, write_photograph

TRIANGLE = '<polygon label="cat" points="5.00,5.00;25.00,5.00;5.00,25.50"/>'


def annotations(path):
    found = read_cvat(path, images=None)
    return to_coco(found.images, found.categories, found.left_out)["annotations"]


def runs_along_rows(mask):
    """Beginning with those outside."""
    flat = np.concatenate([[False], mask.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(changes, prepend=0, append=mask.size).tolist()


def test_shapes_are_what_was_drawn(tmp_path):
    part = np.random.default_rng(0).uniform(size=(4, 7)) < 0.5
    rle_text = ", ".join(map(str, runs_along_rows(part)))
    shapes = f"""
      {TRIANGLE}
      <box label="dog" xtl="10.00" ytl="12.00" xbr="20.00" ybr="30.00" occluded="0"/>
      <box label="dog" xtl="20.00" ytl="15.00" xbr="40.00" ybr="25.00" rotation="90.00"/>
      <ellipse label="cat" cx="30" cy="20" rx="15" ry="5" rotation="90"/>
      <mask label="cat" rle="{rle_text}" left="9" top="11" width="7" height="4">
        <attribute name="colour">red</attribute>
      </mask>
      <polyline label="cat" points="1,1;2,2"/><tag label="cat"/><points label="cat" points="1,1"/>
    """
    path = write_cvat(tmp_path, {"a.png": shapes})
    found = annotations(path)
    assert found[0]["segmentation"] == [[5, 5, 25, 5, 5, 25.5]]
    np.testing.assert_allclose(
        [item["bbox"] for item in found[1:3]], [(10, 12, 10, 18), (25, 10, 10, 20)]
    )
    np.testing.assert_allclose(found[3]["bbox"], (25, 5, 10, 30), atol=0.2)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[11:15, 9:16] = part
    np.testing.assert_array_equal(rle.decode(found[4]["segmentation"]), expected)
    assert [item["category_id"] for item in found] == [1, 2, 2, 1, 1]
    assert annotations(tmp_path) == found  # the folder of an unpacked export
    assert read_cvat(path, images=None).left_out.total() == 3


def test_the_labels_of_the_task_are_the_categories_in_their_order(tmp_path):
    """But for those of parts of a skeleton."""
    path = write_cvat(tmp_path, {"a.png": TRIANGLE}, labels=("zebra", "cat", "dog"))
    part = "<label><name>ear</name><parent>cat</parent></label></labels>"
    path.write_text(path.read_text().replace("</labels>", part))
    found = read_cvat(path, images=None)
    assert [(item.id, item.name) for item in found.categories] == [
        (1, "zebra"),
        (2, "cat"),
        (3, "dog"),
    ]


def test_shapes_of_one_group_are_one_object(tmp_path):
    grouped = TRIANGLE.replace("/>", ' group_id="3"/>')
    path = write_cvat(tmp_path, {"a.png": grouped + TRIANGLE + grouped, "b.png": grouped})
    assert [len(item["segmentation"]) for item in annotations(path)] == [2, 1, 1]


def test_images_in_folders_and_of_subsets(tmp_path):
    path = write_cvat(tmp_path, {"x/a.png": "", "y/a.png": ""})
    assert [image.file_name for image in read_cvat(path, images=None).images] == [
        "x/a.png",
        "y/a.png",
    ]
    text = path.read_text().replace('name="x/a.png"', 'name="ü.png" subset="Train"')
    path.write_text(text)
    image = write_photograph(tmp_path / "images" / "Train" / "ü.png")
    found = read_cvat(path, images=None).images[0]
    assert (found.file_name, found.picture.source) == ("Train/ü.png", image)


def test_frames_of_a_video_are_named_without_suffix(tmp_path):
    path = write_cvat(tmp_path, {"frame_1.0": "", "frame_1.1": ""})
    for name in ("frame_1.0", "frame_1.1"):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"{name}.PNG")
    names = [image.file_name for image in read_cvat(path, images=None).images]
    assert names == ["frame_1.0.PNG", "frame_1.1.PNG"]


BOMB = '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, EXTERNAL, "<!DOCTYPE annotations>"])
def test_nothing_is_expanded_or_fetched(tmp_path, head):
    path = write_cvat(tmp_path, {"a.png": ""}, head=head)
    with pytest.raises(InputError, match="has a document type, which CVAT does not write"):
        read_cvat(path, images=None)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon label="cat" points="1,1;2,2"/>', "polygon 0: is a polygon of 2 points"),
        ('<polygon label="cat" points="1,1;2,2;3"/>', "'points' holds '3', which is not a point"),
        ('<polygon label="cat" points="1,1;2,2;3,x"/>', "'points' is 'x'; it must be a number"),
        ('<polygon label="cat" points="1,1;2,2;3,1e99"/>', "'points' is 1e.99"),
        ('<polygon label="cat"/>', "a <polygon> has no 'points'"),
        ('<polygon points="1,1;2,2;3,3"/>', "a <polygon> has no 'label'"),
        ('<polygon label="" points="1,1;2,2;3,3"/>', "a <polygon> has no 'label'"),
        ('<box label="cat" xtl="1" ytl="1" xbr="2"/>', "'ybr' is None"),
        ('<star label="cat"/>', "star 0: there is no way to read a 'star'"),
        ('<mask label="cat" rle="1,x" left="0" top="0" width="2" height="2"/>', "'rle' is '1,x'"),
        ('<mask label="cat" rle="1,2" left="0" top="0" width="2" height="2"/>', "count the 2 x 2"),
        (
            '<mask label="cat" rle="5,-1" left="0" top="0" width="2" height="2"/>',
            "count the 2 x 2",
        ),
        (
            '<mask label="cat" rle="61" left="0" top="0" width="61" height="1"/>',
            "part of the image",
        ),
        (
            '<mask label="cat" rle="41" left="0" top="0" width="1" height="41"/>',
            "part of the image",
        ),
        ('<mask label="cat" rle="4" left="0" top="0" width="-2" height="-2"/>', "the -2 x -2"),
        ('<mask label="cat" rle="1" left="0.5" top="0" width="1" height="1"/>', "whole number"),
    ],
)
def test_what_cannot_be_read_names_image_and_shape(tmp_path, shape, message):
    path = write_cvat(tmp_path, {"a.png": shape})
    with pytest.raises(InputError, match=message) as error:
        read_cvat(path, images=None)
    assert str(error.value).startswith(f"{path}: image 'a.png': ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>", "is not valid XML: no element found"),
        ("", "is not valid XML"),
        ("<annotations/>", "lists no images"),
        ("<other/>", "no export as 'CVAT for images 1.1'"),
        ("<annotations><track/></annotations>", "no export as 'CVAT for images 1.1'"),
        ("<annotations><image/></annotations>", "an? <image> has no 'name'"),
        ('<annotations><image name="a"/></annotations>', "'height' is None"),
    ],
)
def test_files_that_are_not_of_cvat_are_refused(tmp_path, text, message):
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_cvat(path, images=None)
