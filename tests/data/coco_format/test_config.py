import json

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.coco_format import Coco2017Config, CocoFormatConfig
from maskrcnn_jax.data.ground_truth import ground_truth
from maskrcnn_jax.errors import InputError
from tests.data.coco_files import content, write_coco


def build(root, split="train"):
    return CocoFormatConfig(root=root, cache_dir=root / "cache").build(split)


def refused(root):
    """The message with which a data set is refused; nothing of it may be left in the cache."""
    with pytest.raises(InputError) as error:
        build(root)
    assert not [path for path in (root / "cache").rglob("*") if path.is_file()]
    assert str(error.value).startswith(str(root / "annotations/instances_train.json"))
    return str(error.value)


def test_a_folder_is_stored_with_its_image_files_as_they_are(tmp_path):
    dataset = build(write_coco(tmp_path, content()))
    assert [category.id for category in dataset.categories] == [2, 18]
    assert dataset.images.num_objects.tolist() == [0, 2, 0]
    for i, image in enumerate(content()["images"]):
        record = dataset.records[i]
        assert (record.image_id, record.file_name) == (image["id"], image["file_name"])
        assert record.image == (tmp_path / "images" / image["file_name"]).read_bytes()
    assert [len(dataset.records[i].annotations) for i in range(3)] == [1, 2, 0]


def test_an_edited_annotation_file_is_stored_anew(tmp_path):
    build(write_coco(tmp_path, content()))
    write_coco(tmp_path, content(lambda c: c["annotations"][0].update(area=1.5)))
    assert build(tmp_path).records[1].annotations[0].area == 1.5


def test_what_was_dropped_is_remembered(tmp_path):
    write_coco(tmp_path, content(lambda c: c["annotations"][0].update(bbox=[1, 2, 3, 0])))
    for _ in range(2):
        dataset = build(tmp_path)
        assert [item.annotation.id for item in dataset.dropped] == [11]
        assert dataset.images.num_objects.tolist() == [0, 1, 0]


def test_a_missing_image_names_its_record_and_the_nearest_file(tmp_path):
    root = write_coco(tmp_path, content())
    (root / "images/b.png").rename(root / "images/b.PNG")
    message = refused(root)
    assert "image 7: no file 'b.png'" in message
    assert "Did you mean 'b.PNG'?" in message


def test_an_unreadable_image_is_refused(tmp_path):
    root = write_coco(tmp_path, content())
    (root / "images/a.png").write_bytes(b"no image")
    assert "image 3: a.png: not a readable image" in refused(root)


def test_an_image_of_another_size_is_refused(tmp_path):
    root = write_coco(tmp_path, content())
    pixels = np.zeros((30, 20, 3), np.uint8)
    (root / "images/a.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    message = refused(root)
    assert "image 3: a.png" in message
    assert "30x20" in message
    assert "20x30" in message


def test_bad_annotations_are_refused_before_anything_is_written(tmp_path):
    root = write_coco(tmp_path, content(lambda c: c["annotations"][0].update(category_id=5)))
    assert "annotation 11: 'category_id' 5 does not exist" in refused(root)


def test_coco_2017_is_taken_from_a_folder(tmp_path):
    write_coco(tmp_path, content(), split="val2017", images="val2017")
    config = Coco2017Config(root=tmp_path, cache_dir=tmp_path / "cache")
    assert len(config.build(config.eval_split).records) == 3


def test_coco_2017_has_two_splits(tmp_path):
    with pytest.raises(InputError, match=r"no split 'val2014'\. Did you mean 'val2017'"):
        Coco2017Config(cache_dir=tmp_path).build("val2014")


@pytest.mark.parametrize(
    ("name", "split", "images"),
    [
        ("coco2017_mini", "train2017", "train2017"),
        ("coco2017_mini", "val2017", "val2017"),
        ("penn_fudan", "train", "images"),
        ("penn_fudan", "val", "images"),
    ],
)
def test_real_data_comes_back_field_by_field(shared, tmp_path, name, split, images):
    root = shared / "data" / name
    dataset = CocoFormatConfig(root=root, cache_dir=tmp_path).build(split)
    found = ground_truth(dataset)
    expected = json.loads((root / f"annotations/instances_{split}.json").read_text())
    for key in ("images", "annotations", "categories"):
        assert len(found[key]) == len(expected[key])
        originals = {record["id"]: record for record in expected[key]}
        for record in found[key]:
            assert record == {field: originals[record["id"]][field] for field in record}
    for i in range(len(dataset.records)):
        record = dataset.records[i]
        assert record.image == (root / images / record.file_name).read_bytes()
