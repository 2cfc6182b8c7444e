import dataclasses

import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.finetuning.own_data import DataPlace, look_at
from tests.data.coco_files import HEIGHT, WIDTH, content, write_json


def look(folder, **names):
    return look_at(DataPlace(root=folder, **names))


def written(folder, *splits, mend=None):
    for split in splits:
        write_json(folder, content(mend), split=split)
    return folder


def test_what_decides_about_training_is_read_from_the_annotations(tmp_path):
    data = look(written(tmp_path, "train", "val"))
    assert [category.name for category in data.categories] == ["bicycle", "dog"]
    assert (data.num_images, data.num_with_objects) == (3, 1)
    assert (data.num_eval_images, data.most_objects) == (3, 2)
    np.testing.assert_array_equal(data.image_sizes(), [[HEIGHT, WIDTH]] * 3)
    np.testing.assert_allclose(data.object_sides(), [10, np.sqrt(12)])  # without the crowd
    assert data.reasons()["model.num_classes"] == "1 bicycle, 1 dog"
    assert data.warnings() == ()
    assert data.config().root == tmp_path


@pytest.mark.parametrize(
    ("splits", "train", "held_out"),
    [
        (["train", "val"], "train", "val"),
        (["train2017", "val2017", "test2017"], "train2017", "val2017"),
        (["test", "train", "training_old"], "train", "test"),
        (["valid", "training"], "training", "valid"),
        (["default"], "default", None),
        (["val"], "val", None),
        (["train", "extra"], "train", None),
    ],
)
def test_splits_are_found_by_their_names(tmp_path, splits, train, held_out):
    data = look(written(tmp_path, *splits))
    assert (data.train_split, data.eval_split) == (train, held_out)
    config = data.config()
    assert (config.train_split, config.eval_split) == (train, held_out or "val")


def test_splits_can_be_named(tmp_path):
    written(tmp_path, "train", "val", "a", "b")
    data = look(tmp_path, train_split="b", eval_split="a")
    assert (data.train_split, data.eval_split) == ("b", "a")


def test_nothing_held_out_is_said_and_nothing_is_taken_away(tmp_path):
    data = look(written(tmp_path, "train"))
    (warning,) = data.warnings()
    assert "instances_val.json" in warning
    assert "data.eval_split" not in data.reasons()
    assert len(data.content.images) == 3


def test_a_class_without_objects_is_warned_of(tmp_path):
    def add(value):
        value["categories"].append({"id": 40, "name": "unicorn"})

    (warning,) = look(written(tmp_path, "train", "val", mend=add)).warnings()
    assert "'unicorn'" in warning


def test_many_classes_are_told_in_part(tmp_path):
    def add(value):
        value["categories"] += [{"id": 40 + i, "name": f"thing {i}"} for i in range(8)]

    reason = look(written(tmp_path, "train", "val", mend=add)).reasons()["model.num_classes"]
    assert reason.startswith("1 bicycle, 1 dog")
    assert reason.endswith(", and 4 more")


def test_what_cannot_be_trained_on_or_scored_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--data.root MYDATA"):
        look_at(DataPlace())
    with pytest.raises(InputError, match=r"instances_train.json: no such file"):
        look(tmp_path)
    with pytest.raises(InputError, match=r"--data.train-split .*: a, b"):
        look(written(tmp_path, "a", "b"))
    with pytest.raises(InputError, match=r"Did you mean 'a'"):
        look(tmp_path, train_split="aa")

    def remove(value):
        value["annotations"] = [a for a in value["annotations"] if a.get("iscrowd")]

    with pytest.raises(InputError, match=r"none of its 3 images has an object"):
        look(written(tmp_path / "empty", "train", mend=remove))


def test_other_categories_of_the_split_to_evaluate_on_are_refused_at_once(tmp_path):
    def rename(value):
        value["categories"][0]["name"] = "cat"

    written(tmp_path, "train")
    written(tmp_path, "val", mend=rename)
    message = r"instances_train.json: there is no category 'cat' with id 18, which .*val.json has"
    with pytest.raises(InputError, match=message):
        look(tmp_path)
    assert look(written(tmp_path, "test"), eval_split="test").eval_split == "test"


def test_the_order_of_categories_does_not_matter(tmp_path):
    written(tmp_path, "train")
    data = look(written(tmp_path, "val", mend=lambda value: value["categories"].reverse()))
    assert dataclasses.astuple(data.categories[0]) == (2, "bicycle")
