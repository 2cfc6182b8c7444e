import json
import math

import numpy as np
import pytest

from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.via import read_via
from maskrcnn_jax.errors import InputError
from tests.data.importers.exports import via_region, write_json, write_photograph, write_via

TRIANGLE = {"all_points_x": [5, 25, 5], "all_points_y": [5, 5, 25]}


def read(path, **options):
    defaults = {"images": None, "attribute": None, "unlabelled": None}
    return read_via(path, **defaults | options)


def annotations(path, **options):
    found = read(path, **options)
    return to_coco(found.images, found.categories, found.left_out)["annotations"]


def labels(path, **options):
    return [item.label for image in read(path, **options).images for item in image.drawings]


def test_regions_are_what_was_drawn(tmp_path):
    regions = [
        via_region("polygon", **TRIANGLE),
        via_region("rect", x=10, y=12, width=10, height=18),
        via_region("circle", cx=30, cy=20, r=10),
        via_region("ellipse", cx=30, cy=20, rx=15, ry=5, theta=math.pi / 2),
        via_region("ellipse", cx=30, cy=20, rx=15, ry=5),
        via_region("polyline", **TRIANGLE),
        via_region("point", cx=1, cy=1),
    ]
    path = write_via(tmp_path, {"a.png": regions, "ünï.png": []})
    found = annotations(path)
    boxes = [item["bbox"] for item in found]
    assert boxes[:2] == [[5, 5, 20, 20], [10, 12, 10, 18]]
    np.testing.assert_allclose(
        boxes[2:], [(20, 10, 20, 20), (25, 5, 10, 30), (15, 15, 30, 10)], atol=0.2
    )
    assert read(path).left_out.total() == 2
    assert [image.file_name for image in read(path).images] == ["a.png", "ünï.png"]


def test_projects_and_files_of_via_1_are_read_too(tmp_path):
    path = write_via(tmp_path, {"a.png": [via_region("polygon", **TRIANGLE)]})
    expected = annotations(path)
    content = json.loads(path.read_text())
    project = {"_via_settings": {}, "_via_img_metadata": content, "_via_attributes": {}}
    assert annotations(write_json(tmp_path / "project.json", project)) == expected
    for entry in content.values():
        entry["regions"] = dict(enumerate(entry["regions"]))
    assert annotations(write_json(tmp_path / "via1.json", content)) == expected


def test_the_label_is_the_only_attribute_or_the_one_that_is_named(tmp_path):
    regions = [
        via_region("polygon", {"type": "dog ", "age": "3"}, **TRIANGLE),
        via_region("polygon", {"type": {"cat": True, "dog": False}, "age": ""}, **TRIANGLE),
    ]
    path = write_via(tmp_path, {"a.png": regions})
    assert labels(path, attribute="type") == ["dog", "cat"]
    with pytest.raises(InputError, match="attributes age, type; say with --attribute"):
        read(path)
    with pytest.raises(InputError, match=r"no region has .* 'typ'\. Did you mean 'type'"):
        read(path, attribute="typ")
    with pytest.raises(InputError, match=r"image 'a\.png': region 1: has no label"):
        read(path, attribute="age")
    assert labels(path, attribute="age", unlabelled="new") == ["3", "new"]


def test_one_class_needs_no_attribute(tmp_path):
    """As in the tutorial that many begin with, where all objects are balloons."""
    path = write_via(tmp_path, {"a.png": [via_region("polygon", {}, **TRIANGLE)]})
    assert labels(path, unlabelled="balloon") == ["balloon"]
    with pytest.raises(InputError, match=r"region 0: has no label; .*--unlabelled NAME"):
        read(path)


def test_images_lie_beside_or_elsewhere(tmp_path):
    path = write_via(tmp_path, {"a.png": []})
    elsewhere = tmp_path / "photos"
    elsewhere.mkdir()
    image = (tmp_path / "a.png").rename(elsewhere / "a.png")
    assert read(path, images=elsewhere).images[0].picture.source == image
    with pytest.raises(
        InputError, match=r"image 'a\.png': there is no image 'a\.png' in .*--images"
    ):
        read(path)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (via_region("polygon", all_points_x=[1, 2], all_points_y=[1, 2]), "polygon of 2 points"),
        (via_region("polygon", all_points_x=[1, 2, 3], all_points_y=[1, 2]), "has 3 x and 2 y"),
        (via_region("polygon", all_points_x=[1, 2, 3]), "has no 'all_points_y'"),
        (via_region("rect", x=1, y=2, width=3), "'height' is None"),
        (via_region("rect", x=1, y=2, width=3, height=1e99), "'height' is 1e.99; it must be"),
        (via_region("circle", cx=1, cy=2, r="big"), "'r' is 'big'"),
        (via_region("star", cx=1, cy=2), "no way to read the shape 'star'"),
        (via_region("rect", {"class": {"a": True, "b": True}}), "has the labels a, b"),
        (via_region("rect", {"class": 3}), "'class' is 3; it must be a text"),
        ({"region_attributes": {}}, "has no 'shape_attributes'"),
    ],
)
def test_what_cannot_be_read_names_image_and_region(tmp_path, region, message):
    path = write_via(tmp_path, {"a.png": [via_region("polygon", **TRIANGLE), region]})
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: image 'a.png': region 1: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds .* where an object must be"),
        ({}, "lists no images"),
        ({"a": 3}, "'a': is 3, not an image of VIA"),
        ({"a": {"filename": "a.png", "regions": [3]}}, "'regions' is .3.; it must be a list"),
        ({"a": {"regions": []}}, "'a': has no 'filename'"),
        ({"project": {}, "view": {}, "file": {}}, "VIA 3"),
    ],
)
def test_files_that_are_not_of_via_2_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(write_json(tmp_path / "via.json", content))


def test_a_name_that_leads_out_is_written_inside(tmp_path):
    write_photograph(tmp_path / "a.png")
    content = {"x": {"filename": "../a.png", "regions": []}}
    path = write_json(tmp_path / "sub" / "via.json", content)
    assert read(path).images[0].file_name == "a.png"
