import pytest

from maskrcnn_jax.data.shapes import ShapesConfig
from maskrcnn_jax.data.shapes.records import DrawnRecords
from maskrcnn_jax.errors import InputError


def make_config(folder, **changes):
    fields = {"image_size": 40, "num_train": 5, "num_eval": 3, "cache_dir": folder}
    return ShapesConfig(**(fields | changes))


def test_a_split_is_drawn_and_stored(tmp_path):
    config = make_config(tmp_path)
    train, val = (config.build(split) for split in (config.train_split, config.eval_split))
    expected = DrawnRecords(split="train", num_images=5, image_size=40, seed=0)
    assert list(train.records) == list(expected)
    assert (len(train.records), len(val.records)) == (5, 3)
    assert (train.name, train.split) == ("shapes", "train")


def test_each_configuration_is_stored_apart(tmp_path):
    for changes in ({}, {"seed": 1}, {"num_train": 4}, {"image_size": 48}):
        dataset = make_config(tmp_path, **changes).build("train")
        assert len(dataset.records) == changes.get("num_train", 5)
        assert dataset.images.heights[0] == changes.get("image_size", 40)
    assert len(list(tmp_path.rglob("dataset_info.json"))) == 4


def test_another_split_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"no split 'vall'\. Did you mean 'val'\?"):
        make_config(tmp_path).build("vall")


@pytest.mark.parametrize(
    "changes", [{"image_size": 31}, {"num_train": 0}, {"num_eval": 0}, {"seed": -1}]
)
def test_a_value_that_is_too_small_is_an_input_error(tmp_path, changes):
    with pytest.raises(InputError, match=f"{next(iter(changes))} must be at least"):
        make_config(tmp_path, **changes)
