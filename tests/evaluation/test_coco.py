import contextlib
import copy
import dataclasses
import io
import json
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation.coco import SUMMARY_NAMES, evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth
from maskrcnn_jax.evaluation.results_file import read_results, scorable_types

BOTH = ("bbox", "segm")


# The figures of the MATLAB and Python tools of COCO for its own example results.
@pytest.mark.parametrize(
    ("iou_type", "expected"),
    [
        ("bbox", [505, 697, 573, 586, 519, 501, 387, 594, 595, 640, 566, 564]),
        ("segm", [320, 562, 299, 387, 310, 327, 268, 415, 417, 469, 377, 381]),
    ],
)
def test_the_reference_figures_of_coco(shared, capsys, iou_type, expected):
    folder = shared / "data" / "coco_eval_val2014_100"
    truth = read_truth(folder / "instances_val2014_100.json")
    results = read_results(folder / f"instances_val2014_fake{iou_type}100_results.json", truth)
    assert iou_type in scorable_types(results)
    scores = evaluate(truth, results, iou_types=(iou_type,))[iou_type]
    assert tuple(scores.summary) == SUMMARY_NAMES
    assert [round(1000 * value) for value in scores.summary.values()] == expected
    defined = [value for value in scores.per_class.values() if not math.isnan(value)]
    assert np.mean(defined) == pytest.approx(scores.summary["AP"])
    assert capsys.readouterr().out == ""


def test_perfect_results_score_one_and_what_is_absent_is_undefined(truth, perfect):
    for scores in evaluate(truth, perfect, iou_types=BOTH).values():
        for name in ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR10", "AR100"):
            assert scores.summary[name] == pytest.approx(1), name
        assert scores.summary["AR1"] == pytest.approx(0.75)  # cats: one of two
        assert scores.per_class["cat"] == scores.per_class["dog"] == pytest.approx(1)
        assert math.isnan(scores.per_class["unicorn"])


def test_sizes_without_objects_are_undefined(truth, perfect):
    large = [item for item in truth.objects if item.area > 96**2 and not item.is_crowd]
    only_large = dataclasses.replace(truth, objects=tuple(large))
    summary = evaluate(only_large, perfect, iou_types=("bbox",))["bbox"].summary
    assert math.isnan(summary["APs"])
    assert math.isnan(summary["ARm"])
    assert summary["APl"] == pytest.approx(1)


def test_no_results_score_zero(truth):
    scores = evaluate(truth, [], iou_types=BOTH)
    assert all(value == 0 for value in scores["bbox"].summary.values())
    assert scores["segm"].per_class["dog"] == 0
    assert math.isnan(scores["segm"].mean_matched_iou)


def test_no_objects_at_all(truth, perfect):
    nothing = dataclasses.replace(truth, objects=())
    for scores in evaluate(nothing, perfect, iou_types=BOTH).values():
        assert all(map(math.isnan, scores.summary.values()))


def test_order_of_results_changes_nothing_and_results_are_not_modified(truth, perfect):
    perfect[0]["bbox"][0] += 5
    before = copy.deepcopy(perfect)
    forward = evaluate(truth, perfect, iou_types=BOTH)
    backward = evaluate(truth, perfect[::-1], iou_types=BOTH)
    np.testing.assert_equal(forward["bbox"].summary, backward["bbox"].summary)
    assert forward["segm"].mean_matched_iou == backward["segm"].mean_matched_iou
    assert perfect == before


def test_crowds_absorb_results_that_would_be_wrong(truth, perfect):
    in_crowd = perfect[3] | {"bbox": [5, 5, 30, 30], "score": 0.99}
    ap = evaluate(truth, [*perfect, in_crowd], iou_types=("bbox",))["bbox"].summary["AP"]
    assert ap == pytest.approx(1)
    in_the_open = in_crowd | {"bbox": [100, 110, 9, 9], "image_id": 5}
    ap = evaluate(truth, [*perfect, in_the_open], iou_types=("bbox",))["bbox"].summary["AP"]
    assert ap < 0.95


def test_only_the_chosen_images_count(truth, perfect):
    wrong = perfect[0] | {"image_id": 5, "score": 1.0}
    all_images = evaluate(truth, [*perfect, wrong], iou_types=("bbox",))["bbox"]
    assert all_images.summary["AP"] < 0.99
    chosen = evaluate(truth, [*perfect, wrong], iou_types=("bbox",), image_ids=[7, 3])["bbox"]
    assert chosen.summary["AP"] == pytest.approx(1)


def test_masks_alone_are_scored_by_their_extents_too(truth, perfect):
    masks = [{key: item[key] for key in item if key != "bbox"} for item in perfect]
    scores = evaluate(truth, masks, iou_types=BOTH)
    assert scores["bbox"].summary["AP"] == pytest.approx(1)
    assert scores["segm"].summary["AP"] == pytest.approx(1)


def test_the_size_of_a_mask_is_its_area_not_that_of_its_box(truth, perfect):
    """A wrong small mask in a large box is no false positive among large objects."""
    wrong = perfect[0] | {"image_id": 5, "category_id": 4, "score": 1, "bbox": [0, 0, 120, 120]}
    scores = evaluate(truth, [*perfect, wrong], iou_types=BOTH)
    assert scores["segm"].summary["APl"] == pytest.approx(1)
    assert scores["segm"].summary["APs"] == pytest.approx(1)  # no small dogs
    assert scores["bbox"].summary["APl"] < 1


def test_masks_are_ranked_by_their_own_scores_and_boxes_by_theirs(truth, perfect):
    """A bad mask in a good box comes before the good mask, until it is judged."""
    bad = perfect[2] | {"segmentation": perfect[0]["segmentation"], "score": 0.95}
    results = [*perfect, bad]

    def precision():
        scores = evaluate(truth, results, iou_types=("bbox", "segm", "boundary"))
        return [item.per_class["dog"] for item in scores.values()]

    boxes, masks, boundaries = precision()
    assert masks == boundaries < 1
    bad["mask_score"] = 0.05
    assert precision() == pytest.approx([boxes, 1, 1])
    quality = evaluate(truth, results, iou_types=("segm",))["segm"].mean_matched_iou
    assert quality == pytest.approx(3 / 4)  # what counts there is which box was found first


def test_namesakes_keep_their_scores(content, write, perfect):
    content["categories"][2]["name"] = "cat"
    scores = evaluate(read_truth(write(content)), perfect, iou_types=("bbox",))["bbox"]
    assert set(scores.per_class) == {"dog", "cat (6)", "cat (10)"}


def test_json_has_null_for_what_is_undefined(truth, perfect):
    scores = evaluate(truth, perfect, iou_types=BOTH)
    metrics = json.loads(json.dumps({k: v.as_json() for k, v in scores.items()}, allow_nan=False))
    assert metrics["segm"]["mean_matched_iou"] == 1
    assert "mean_matched_iou" not in metrics["bbox"]
    assert metrics["bbox"]["per_class"]["unicorn"] is None
    assert metrics["bbox"]["AP"] == pytest.approx(1)


def jittered(truth, *, seed=0):
    """Results near the ground truth, some of another class, some twice, crowds among them."""
    rng = np.random.default_rng(seed)
    categories = [category.id for category in truth.categories]
    for item in truth.objects:
        for _ in range(rng.integers(0, 3)):
            moved = np.maximum(np.asarray(item.box) + rng.normal(size=4) * 4, 1)
            changed = rng.uniform() < 0.1
            yield {
                "image_id": item.image_id,
                "category_id": int(rng.choice(categories)) if changed else item.category_id,
                "bbox": moved.tolist(),
                "score": float(rng.uniform()),
                "segmentation": item.segmentation,
            }


@pytest.mark.parametrize("iou_type", BOTH)
def test_the_same_as_plain_pycocotools_to_the_last_digit(shared, iou_type):
    path = shared / "data" / "coco2017_mini" / "annotations" / "instances_val2017.json"
    truth = read_truth(path)
    results = list(jittered(truth))
    scores = evaluate(truth, results, iou_types=(iou_type,))[iou_type].summary
    shape = {"bbox": "bbox", "segm": "segmentation"}[iou_type]
    keys = ("image_id", "category_id", "score", shape)
    with contextlib.redirect_stdout(io.StringIO()):
        references = COCO(str(path))
        detections = references.loadRes([{key: item[key] for key in keys} for item in results])
        plain = COCOeval(references, detections, iou_type)
        plain.evaluate()
        plain.accumulate()
        plain.summarize()
    assert list(scores.values()) == plain.stats.tolist()
