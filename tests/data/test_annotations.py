import math

import numpy as np
import pytest

from maskrcnn_jax.data.annotations import dropped_summary, parse_annotations, read_annotations
from maskrcnn_jax.data.records import Annotation, Category, Dataset
from maskrcnn_jax.errors import InputError
from tests.data.coco_files import SQUARE, content, write_json


def read(folder, spoil=None):
    return read_annotations(write_json(folder, content(spoil)))


def first(value, **changes):
    value["annotations"][0].update(changes)


def add(value, **changes):
    """Adds an annotation that is like the first one but for ``changes``."""
    new = {"id": 100 + len(value["annotations"])}
    value["annotations"].append(value["annotations"][0] | new | changes)


def test_a_file_is_read_in_its_order_with_its_own_values(tmp_path):
    found = read(tmp_path)
    assert found.categories == (Category(id=2, name="bicycle"), Category(id=18, name="dog"))
    assert found.images.ids.tolist() == [7, 3, 5]
    assert found.images.file_names == ("b.png", "a.png", "ünïcode.png")
    assert found.images.num_objects.tolist() == [0, 2, 0]  # one crowd, two objects, nothing
    assert [[a.id for a in annotations] for annotations in found.annotations] == [
        [12],
        [11, 10],
        [],
    ]
    assert found.annotations[1][0] == Annotation(
        id=11, label=1, box=(5.1, 5, 10, 10), area=100, is_crowd=False, segmentation=SQUARE
    )
    assert found.annotations[0][0].is_crowd
    assert not found.annotations[1][1].is_crowd  # it has no "iscrowd"
    assert found.dropped == ()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c.pop("images"), "has no 'images'"),
        (lambda c: c.pop("annotations"), "has no 'annotations'"),
        (lambda c: c.update(categories={}), "'categories' is {}; it must be a list"),
        (lambda c: c.update(images=[], annotations=[]), "'images' is empty"),
        (lambda c: c.update(categories=[], annotations=[]), "'categories' is empty"),
        (lambda c: c["images"].append(4), r"images\[3\]: is 4, not an object"),
        (lambda c: c["images"][0].pop("id"), r"images\[0\]: has no 'id'"),
        (lambda c: c["images"][1].update(id=7), r"images\[1\]: image id 7 occurs twice"),
        (lambda c: c["images"][1].update(id="3"), r"images\[1\]: 'id' is '3'; it must be an int"),
        (
            lambda c: c["images"][0].update(height=0),
            r"image 7: 0 x 30 pixels .*; write its real size",
        ),
        (lambda c: c["images"][0].update(width=30.5), "image 7: 'width' is 30.5"),
        (
            lambda c: c["images"][0].update(width=2**31),
            "image 7: 20 x 2147483648 pixels .* at most",
        ),
        (lambda c: c["images"][0].update(width=2**24), "image 7: 20 x 16777216 pixels .* at most"),
        (lambda c: c["images"][0].update(width=2**63), r"image 7: 'width' .* below 2\^63"),
        (lambda c: c["images"][0].pop("file_name"), "image 7: has no 'file_name'"),
        (lambda c: c["categories"][1].update(id=18), "category id 18 occurs twice"),
        (lambda c: c["categories"][1].update(name=1), "category 2: 'name' is 1"),
        (lambda c: first(c, id=12), r"annotations\[1\]: annotation id 12 occurs twice"),
        (lambda c: first(c, image_id=6), "annotation 11: 'image_id' 6 does not exist; .* is 5"),
        (lambda c: first(c, category_id=17), "'category_id' 17 does not exist; the nearest is 18"),
        (lambda c: first(c, category_id=True), "annotation 11: 'category_id' is True"),
        (lambda c: c["annotations"][0].pop("bbox"), "annotation 11: has no 'bbox'"),
        (lambda c: first(c, bbox=[1, 2, 3]), "annotation 11: 'bbox' is .* 4 finite numbers"),
        (lambda c: first(c, bbox=[1, 2, 3, math.nan]), "annotation 11: 'bbox'"),
        (lambda c: first(c, bbox=[1, 2, math.inf, 3]), "annotation 11: 'bbox'"),
        (lambda c: first(c, bbox=[1, 2, "3", 3]), "annotation 11: 'bbox'"),
        (lambda c: first(c, bbox="1234"), "annotation 11: 'bbox' is '1234'; it must be a list"),
        (lambda c: c["annotations"][0].pop("area"), "annotation 11: has no 'area'"),
        (lambda c: first(c, area=math.nan), "annotation 11: 'area' is nan"),
        (lambda c: first(c, area="100"), "annotation 11: 'area' is '100'; it must be a number"),
        (lambda c: first(c, bbox=[1, 2, 10**400, 3]), "annotation 11: 'bbox'"),
        (lambda c: first(c, area=-4), "annotation 11: 'area' is -4"),
        (lambda c: first(c, iscrowd=2), "annotation 11: 'iscrowd' is 2"),
        (lambda c: c["annotations"][0].pop("segmentation"), "annotation 11: segmentation is None"),
        (lambda c: first(c, segmentation=[[1, 2, 3, 4]]), "annotation 11: .* three points"),
    ],
)
def test_what_is_malformed_is_refused_with_file_and_record(tmp_path, spoil, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, spoil)
    assert str(error.value).startswith(str(tmp_path / "annotations/instances_train.json"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not valid JSON"), ('{"images": [', "not valid JSON"), ("[1]", "where an object must")],
)
def test_a_file_that_is_no_json_object_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_annotations(write_json(tmp_path, text))


def test_values_of_a_faulty_record_are_all_reported(tmp_path):
    """And those of sound ones returned, as if the faulty ones were not there."""

    def spoil(value):
        first(value, bbox=None, area=None, iscrowd=None, segmentation=None)
        value["images"][2]["height"] = 0

    found = []
    file = parse_annotations(content(spoil), tmp_path, report=found.append)
    assert [problem.where for problem in found] == [f"{tmp_path}: image 5"] + 4 * [
        f"{tmp_path}: annotation 11"
    ]
    assert file.images.ids.tolist() == [7, 3]
    assert [[item.id for item in annotations] for annotations in file.annotations] == [[12], [10]]


def test_a_category_that_is_faulty_gives_no_label_away(tmp_path):
    spoilt = content(lambda c: c["categories"][1].pop("name"))
    file = parse_annotations(spoilt, tmp_path, report=[].append)
    assert file.categories == (Category(id=18, name="dog"),)
    assert [[item.label for item in found] for found in file.annotations] == [[], [0], []]


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"images": "\xff\xfe"}')
    with pytest.raises(InputError, match=r"a\.json: is not valid JSON"):
        read_annotations(tmp_path / "a.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"b\.json: cannot be read: No such file"):
        read_annotations(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": [5, 5, 10, 0]}, "box without area"),
        ({"bbox": [5, 5, -1, 10]}, "box without area"),
        ({"bbox": [5, 5, 0.009, 10]}, "box without area"),
        ({"bbox": [-9.995, 5, 10, 10]}, "box outside the image"),
        ({"bbox": [30, 5, 10, 10]}, "box outside the image"),
        ({"bbox": [-10, 5, 10, 10]}, "box outside the image"),
        ({"bbox": [5, 20, 10, 10]}, "box outside the image"),
        ({"bbox": [5, -10, 10, 10]}, "box outside the image"),
        ({"segmentation": [[5, 5, 15, 5, 9, 5]]}, "mask without area in the image"),
        ({"segmentation": [[50, 5, 60, 5, 55, 9]]}, "mask without area in the image"),
        (
            {"segmentation": {"size": [20, 30], "counts": [600]}},
            "mask without area in the image",
        ),
    ],
)
def test_what_covers_nothing_is_dropped(tmp_path, changes, reason):
    found = read(tmp_path, lambda c: add(c, **changes))
    (dropped,) = found.dropped
    assert (dropped.reason, dropped.annotation.id, dropped.image) == (reason, 103, 1)
    assert found.annotations == read(tmp_path).annotations
    assert found.images.num_objects.tolist() == [0, 2, 0]


@pytest.mark.parametrize("bbox", [[29.9, 0, 99, 99], [-9, -9, 9.1, 9.1], [0, 19.9, 0.1, 0.1]])
def test_a_box_that_sticks_out_of_its_image_is_kept(tmp_path, bbox):
    found = read(tmp_path, lambda c: add(c, bbox=bbox))
    assert found.dropped == ()
    assert found.annotations[1][-1].box == tuple(bbox)


def test_a_file_of_which_nothing_is_left_is_refused(tmp_path):
    def spoil(value):
        for annotation in value["annotations"]:
            annotation["bbox"] = [0, 0, 0, 0]

    with pytest.raises(InputError, match="no annotation covers anything; the first, id 11"):
        read(tmp_path, spoil)


def test_a_file_without_annotations_is_read(tmp_path):
    found = read(tmp_path, lambda c: c["annotations"].clear())
    assert found.annotations == ((), (), ())


def test_what_was_dropped_is_said_in_one_line(tmp_path):
    def spoil(value):
        add(value, bbox=[5, 5, 0, 10])
        add(value, bbox=[5, 5, 10, 0])
        add(value, bbox=[50, 5, 10, 10])

    found = read(tmp_path, spoil)
    fields = {"name": "pets", "split": "train", "categories": (), "records": ()}
    dataset = Dataset(images=found.images, dropped=found.dropped, **fields)
    assert dropped_summary(dataset) == (
        "pets train: dropped 3 annotations: 2 with a box without area, "
        "1 with a box outside the image (the first: annotation 103 of image 3)"
    )
    assert dropped_summary(Dataset(images=found.images, **fields)) is None


@pytest.mark.parametrize(
    ("name", "images", "annotations", "crowds"),
    [
        ("coco2017_mini/annotations/instances_train2017.json", 92, 829, 9),
        ("coco2017_mini/annotations/instances_val2017.json", 66, 560, 8),
        ("penn_fudan/annotations/instances_train.json", 120, 297, 0),
        ("penn_fudan/annotations/instances_val.json", 50, 126, 0),
    ],
)
def test_real_files_are_read_whole(shared, name, images, annotations, crowds):
    found = read_annotations(shared / "data" / name)
    assert len(found.images) == images
    assert sum(map(len, found.annotations)) == annotations
    assert np.sum(found.images.num_objects) == annotations - crowds
    assert found.dropped == ()
