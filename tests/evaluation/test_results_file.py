import math

import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results_file import read_results, scorable_types


def test_good_results_come_back_as_they_were(perfect, truth, write):
    assert read_results(write(perfect, "results.json"), truth) == perfect
    assert scorable_types(perfect) == ("bbox", "segm", "boundary")
    boxes = [{key: item[key] for key in item if key != "segmentation"} for item in perfect]
    assert read_results(write(boxes), truth) == boxes
    assert scorable_types(boxes) == ("bbox",)
    assert read_results(write([]), truth) == []
    assert scorable_types([]) == ("bbox", "segm", "boundary")
    perfect[1]["mask_score"] = 0.25
    assert read_results(write(perfect), truth) == perfect


def test_segmentations_become_compressed(perfect, truth, write):
    given = perfect[0]["segmentation"]
    perfect[0]["segmentation"] = [[10, 10, 30, 10, 30, 30, 10, 30]]
    assert read_results(write(perfect), truth)[0]["segmentation"] == given


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, "'image_id' 8 does not exist; the nearest is 7"),
        ({"image_id": "7"}, "'image_id'"),
        ({"category_id": 11}, "'category_id' 11 does not exist; the nearest is 10"),
        ({"category_id": None}, "'category_id'"),
        ({"score": math.nan}, "'score' is nan"),
        ({"score": "0.5"}, "'score' is '0.5'"),
        ({"mask_score": math.inf}, "'mask_score' is inf"),
        ({"mask_score": None}, "'mask_score' is None"),
        ({"bbox": [1, 2, 3]}, "'bbox'"),
        ({"bbox": [1, 2, math.inf, 4]}, "'bbox'"),
        ({"bbox": [1, 2, -3, 4]}, "'bbox'"),
        ({"segmentation": {"size": [120, 160], "counts": "0"}}, "RLE"),
        ({"segmentation": {"size": [160, 120], "counts": "0"}}, r"\[160, 120\]"),
        ({"segmentation": {"size": [120, 160], "counts": "\u00e9"}}, "RLE"),
        ({"segmentation": []}, "segmentation"),
    ],
)
def test_a_bad_record_is_named(change, message, perfect, truth, write):
    perfect[2] |= change
    path = write(perfect, "results.json")
    with pytest.raises(InputError, match=rf"results\.json: record 2 \(counted from 0\).*{message}"):
        read_results(path, truth)


@pytest.mark.parametrize("key", ["image_id", "category_id", "score", "bbox", "segmentation"])
def test_a_missing_key_is_named(key, perfect, truth, write):
    del perfect[1][key]
    with pytest.raises(InputError, match=f"record 1 .*{key}"):
        read_results(write(perfect), truth)


def test_records_need_a_shape(truth, write):
    record = {"image_id": 7, "category_id": 4, "score": 0.5}
    with pytest.raises(InputError, match=r"record 0 .*neither"):
        read_results(write([record]), truth)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"image_id": 7', "not valid JSON"),
        ('{"annotations": []}', "must hold a list"),
        ("[3]", "record 0 .*no object"),
    ],
)
def test_a_file_that_is_no_results_file_is_named(text, message, truth, write):
    with pytest.raises(InputError, match=rf"results\.json: .*{message}"):
        read_results(write(text, "results.json"), truth)


def test_a_missing_file_is_named(truth, tmp_path):
    with pytest.raises(InputError, match=r"none\.json: cannot be read: No such file"):
        read_results(tmp_path / "none.json", truth)
