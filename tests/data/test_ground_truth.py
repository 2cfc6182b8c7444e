import contextlib
import copy
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.data.coco_format import CocoFormatConfig
from maskrcnn_jax.data.ground_truth import ground_truth, write_coco_folder
from maskrcnn_jax.data.shapes.records import DrawnRecords, drawn_dataset
from tests.data.coco_files import content, write_coco


def spoil(value):
    """Adds an annotation that covers nothing."""
    value["annotations"].append(value["annotations"][0] | {"id": 50, "bbox": [5, 5, 10, 0]})


def build(root):
    return CocoFormatConfig(root=root, cache_dir=root / "cache").build("train")


def by_id(records):
    return {record["id"]: record for record in records}


def average_precision(truth, iou_type):
    """AP of the sound objects of ``content()`` found exactly, by pycocotools."""
    objects = [item for item in content()["annotations"] if not item.get("iscrowd")]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes([item | {"score": 0.9} for item in objects]))
        evaluation.params.iouType = iou_type
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def test_it_is_the_annotation_file_again(tmp_path):
    found = ground_truth(build(write_coco(tmp_path, content(spoil))))
    expected = content(spoil)
    assert found["images"] == expected["images"]
    assert by_id(found["categories"]) == by_id(expected["categories"])
    assert by_id(found["annotations"]) == {
        key: {"iscrowd": 0, **value} for key, value in by_id(expected["annotations"]).items()
    }


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_what_was_dropped_changes_no_score(tmp_path, iou_type):
    file = content(spoil)
    for annotation in file["annotations"]:
        annotation.setdefault("iscrowd", 0)  # pycocotools needs it
    dataset = build(write_coco(tmp_path, file))
    assert len(dataset.dropped) == 1
    found = average_precision(ground_truth(dataset), iou_type)
    assert found == average_precision(file, iou_type) < 1


def test_images_can_be_chosen(tmp_path):
    found = ground_truth(build(write_coco(tmp_path, content(spoil))), [2, 1])
    assert [image["id"] for image in found["images"]] == [5, 3]
    assert sorted(by_id(found["annotations"])) == [10, 11, 50]
    assert len(found["categories"]) == 2


def test_a_data_set_written_to_a_folder_is_read_as_the_same(tmp_path):
    drawn = drawn_dataset(DrawnRecords(split="train", num_images=3, image_size=40, seed=1))
    write_coco_folder(drawn, tmp_path)
    found = build(tmp_path)
    assert found.categories == drawn.categories
    assert list(found.records) == list(drawn.records)
    np.testing.assert_array_equal(found.images.num_objects, drawn.images.num_objects)
    assert [path.name for path in (tmp_path / "annotations").iterdir()] == ["instances_train.json"]
