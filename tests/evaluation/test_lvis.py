import copy
import dataclasses
import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

import configs
from maskrcnn_jax.data.coco_format import CocoFormatConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import lvis
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth, truth_of
from maskrcnn_jax.evaluation.report import write_report
from maskrcnn_jax.evaluation.report.findings import find
from maskrcnn_jax.evaluation.report.statistics.gains import mean_average_precision, ranking_of
from maskrcnn_jax.evaluation.results_file import read_results
from maskrcnn_jax.evaluation.tables import summary_table
from maskrcnn_jax.inference.predictor import Predictor
from tests.data.coco_files import HEIGHT, WIDTH, write_coco, write_json
from tests.evaluation import federated

GOLDEN = json.loads((Path(__file__).parent / "data" / "lvis.json").read_text())
SIDE = 20


@pytest.fixture
def given(write):
    """Ground truth and results of the golden."""
    truth = read_truth(write(GOLDEN["content"]))
    return truth, read_results(write(GOLDEN["results"], "results.json"), truth)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_the_same_as_the_package_lvis_to_the_last_digit(given, iou_type):
    scores = evaluate(*given, iou_types=(iou_type,))[iou_type]
    golden = GOLDEN["scores"][iou_type]
    assert list(scores.summary) == list(lvis.SUMMARY_NAMES)
    assert list(scores.summary.values()) == list(golden["summary"].values())
    expected = [math.nan if value < 0 else value for value in golden["per_category"]]
    np.testing.assert_allclose(list(scores.per_class.values()), expected, rtol=1e-12)  # means by us


def best_of_image(results, image_id):
    found = [item for item in results if item["image_id"] == image_id]
    return sorted(found, key=lambda item: -item["score"])[: lvis.MAX_DETECTIONS]


def test_the_golden_has_every_rule_in_it(given):
    """Without a rule the numbers are others."""
    truth, results = given
    whole = evaluate(truth, results, iou_types=("bbox",))["bbox"].summary["AP"]
    federation = truth.federation
    nothing = dict.fromkeys(truth.image_sizes, ())
    for change in (
        dataclasses.replace(federation, absent=nothing),
        dataclasses.replace(federation, not_exhaustive=nothing),
    ):
        changed = dataclasses.replace(truth, federation=change)
        assert evaluate(changed, results, iou_types=("bbox",))["bbox"].summary["AP"] != whole
    best = [item for id in truth.image_sizes for item in best_of_image(results, id)]
    assert len(best) < len(results)
    assert evaluate(truth, best, iou_types=("bbox",))["bbox"].summary["AP"] == whole
    assert any(item.area == 0 for item in truth.objects)
    assert evaluate(dataclasses.replace(truth, federation=None), results, iou_types=("bbox",))[
        "bbox"
    ].summary.keys() != set(lvis.SUMMARY_NAMES)


def test_boundaries_are_scored_by_the_same_rules(given):
    scores = evaluate(*given, iou_types=("segm", "boundary"))
    masks, boundaries = (scores[kind].summary for kind in ("segm", "boundary"))
    assert list(boundaries) == list(lvis.SUMMARY_NAMES)
    assert 0 < boundaries["AP"] <= masks["AP"]


def small():
    """Category 1 is in image 1 and absent in image 2; nobody has looked in image 3."""
    content = {
        "images": [
            {
                "id": id,
                "height": HEIGHT,
                "width": WIDTH,
                "file_name": f"{id}.png",
                "neg_category_ids": [1] if id == 2 else [],
                "not_exhaustive_category_ids": [],
            }
            for id in (1, 2, 3)
        ],
        "categories": [{"id": 1, "name": "cat", "frequency": "c"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [0, 0, SIDE, SIDE],
                "area": SIDE * SIDE,
                "segmentation": [federated.corners([0, 0, SIDE, SIDE])],
            }
        ],
    }
    right = {"image_id": 1, "category_id": 1, "bbox": [0, 0, SIDE, SIDE], "score": 0.5}
    return content, right


def average_precision(write, content, results):
    return evaluate(read_truth(write(content)), results, iou_types=("bbox",))["bbox"].summary["AP"]


def test_a_category_is_scored_where_it_was_looked_for(write):
    content, right = small()
    for image_id, expected in ((2, 0.5), (3, 1)):
        wrong = right | {"image_id": image_id, "score": 0.9}
        assert average_precision(write, content, [right, wrong]) == pytest.approx(expected)


def test_where_not_all_are_annotated_one_more_is_not_wrong(write):
    content, right = small()
    more = right | {"bbox": [10, 10, 9, 9], "score": 0.9}
    assert average_precision(write, content, [right, more]) == pytest.approx(0.5)
    content["images"][0]["not_exhaustive_category_ids"] = [1]
    assert average_precision(write, content, [right, more]) == pytest.approx(1)


def test_the_300_best_of_all_categories_count_the_first_of_equal_ones(write):
    content, right = small()
    content["categories"].append({"id": 2, "name": "dog", "frequency": "r"})
    others = [right | {"category_id": 2} for _ in range(300)]
    assert average_precision(write, content, [*others, right]) == 0
    assert average_precision(write, content, [right, *others]) == pytest.approx(1)
    assert average_precision(write, content, [*others[1:], right]) == pytest.approx(1)


def test_some_of_the_images(given):
    truth, results = given
    few = [1, 4, 7]
    cut = dataclasses.replace(
        truth,
        image_sizes={id: truth.image_sizes[id] for id in few},
        objects=tuple(item for item in truth.objects if item.image_id in few),
    )
    kept = [item for item in results if item["image_id"] in few]
    np.testing.assert_equal(
        evaluate(truth, results, iou_types=("bbox",), image_ids=few)["bbox"].summary,
        evaluate(cut, kept, iou_types=("bbox",))["bbox"].summary,
    )


def test_no_results_and_no_objects(write):
    content, right = small()
    assert average_precision(write, content, []) == 0
    content["annotations"][0]["area"] = 0
    assert math.isnan(average_precision(write, content, [right]))


def test_the_table_has_all_13_numbers(given):
    table = summary_table(evaluate(*given, iou_types=("bbox", "segm")))
    assert [line.split()[0] for line in table.split("\n")[1:10]] == list(lvis.SUMMARY_NAMES[:9])
    assert [line.split()[3] for line in table.split("\n")[1:5]] == list(lvis.SUMMARY_NAMES[9:])


def test_the_page_has_them_too_and_counts_what_counts(given, tmp_path):
    scores = evaluate(*given, iou_types=("bbox",))
    path = write_report(tmp_path, *given, scores, title="LVIS", source=None)
    page = path.read_text()
    assert all(f"<b>{name}</b>" in page for name in lvis.SUMMARY_NAMES)
    findings = find(*given, scores, title="LVIS")
    base = mean_average_precision(ranking_of(findings.outcome))
    assert base == pytest.approx(scores["bbox"].summary["AP50"], abs=1e-9)


def test_a_stored_data_set_knows_what_its_file_says(tmp_path, monkeypatch):
    """In the layout in which LVIS is published: beside COCO's own files and images."""
    content, _ = small()
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
    names = ["1.png", "2.png", "3.png"]
    images = {"images": [{"file_name": name} for name in names]}
    write_coco(tmp_path, images, images="val2017")
    path = tmp_path / "annotations" / "lvis_v1_val.json"
    path.write_text(json.dumps(content))
    dataset = CocoFormatConfig(root=tmp_path, cache_dir=tmp_path / "cache").build("lvis_v1_val")
    assert [dataset.records[i].file_name for i in range(3)] == [
        f"val2017/{i}.png" for i in (1, 2, 3)
    ]
    assert truth_of(dataset) == read_truth(path)
    assert dataset.federation.absent == {1: (), 2: (1,), 3: ()}
    assert dataset.federation.frequencies == {1: "c"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c["categories"][0].pop("frequency"), "category 1: has no 'frequency'"),
        (lambda c: c["categories"][0].update(frequency="x"), "category 1: .*must be 'r', 'c' or"),
        (lambda c: c["images"][1].pop("neg_category_ids"), "image 2: has no 'neg_category_ids'"),
        (
            lambda c: c["images"][2].update(not_exhaustive_category_ids=["a"]),
            "image 3: 'not_exhaustive_category_ids' is .* list of category ids",
        ),
    ],
)
def test_half_a_file_of_lvis_is_refused(write, spoil, message):
    content, _ = small()
    spoil(content)
    with pytest.raises(InputError, match=message):
        read_truth(write(content))


def test_a_file_of_coco_may_have_keys_of_the_same_names(write):
    content, _ = small()
    for image in content["images"]:
        del image["neg_category_ids"]
    content["categories"][0]["frequency"] = 7
    assert read_truth(write(content)).federation is None


def test_the_script_says_where_a_model_gives_fewer_detections(tmp_path, monkeypatch, capsys):
    script = importlib.import_module("eval")
    content, _ = small()
    root = write_coco(tmp_path, {"images": [{"file_name": f"{id}.png"} for id in (1, 2, 3)]})
    write_json(root, content, split="val")
    dataset = CocoFormatConfig(root=root, cache_dir=tmp_path / "cache").build("val")
    monkeypatch.setattr(script, "predict_dataset", lambda *_: [])
    for name, has_note in (("mask_rcnn_r50_fpn_1x", True), ("mask_rcnn_r50_fpn_lvis_1x", False)):
        config = configs.load(name)
        predictor = Predictor(config.model, {}, config.input)
        script.evaluate_dataset(dataset, predictor, out=None, page=None, source=tmp_path)
        printed = capsys.readouterr().out
        assert ("LVIS counts 300 detections of an image; this model" in printed) == has_note
        assert "APr        -" in printed
        assert "APc    0.000" in printed


def test_results_are_not_modified(given):
    truth, results = given
    before = copy.deepcopy(results)
    evaluate(truth, results, iou_types=("bbox",))
    assert results == before
