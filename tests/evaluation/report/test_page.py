import dataclasses
import html.parser
import re

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.federation import Federation
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.coco import evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth
from maskrcnn_jax.evaluation.overlaps import IOU_TYPES
from maskrcnn_jax.evaluation.report import write_report
from maskrcnn_jax.evaluation.report.pictures import images_in
from tests.evaluation.report.cases import (
    SIDE,
    one_of_each,
    random_case,
    result,
    truth_of,
    with_masks,
)

_EMPTY = {"meta", "link", "br", "img", "path", "rect"}


class Parsed(html.parser.HTMLParser):
    """Elements with their attributes, all text, and whether every element is closed in turn."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(content)
        assert self._open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in _EMPTY:
            self._open.append(name)

    def handle_endtag(self, name):
        if name not in _EMPTY:
            assert self._open.pop() == name

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)

    def all(self, name):
        return [attributes for other, attributes in self.elements if other == name]


def page_of(truth, results, folder, *, iou_types=("bbox",), source=None, title="a title"):
    scores = evaluate(truth, results, iou_types=iou_types)
    path = write_report(folder, truth, results, scores, title=title, source=source)
    assert path == folder / "index.html"
    return path.read_text("utf-8")


def grey_image(_):
    return np.full((SIDE, SIDE, 3), 128, np.uint8)


def polylines(content):
    """Points of the curves of the page, in the units of the chart, in their order."""
    for d in re.findall(r'<path d="M([^"]*)" class="line', content):
        if "H" not in d:
            yield np.array([pair.split() for pair in d.split("L")], float)


def test_areas_under_the_curves_are_the_ap_of_the_tables(tmp_path):
    truth, results = random_case(0)
    results = with_masks(results)
    content = page_of(truth, results, tmp_path, iou_types=IOU_TYPES)
    scores = evaluate(truth, results, iou_types=IOU_TYPES)
    curves = list(polylines(content))
    for number, kind in enumerate(scores):  # four curves each
        for name, points in zip(("AP", "AP50", "AP75"), curves[4 * number :], strict=False):
            x = (points[:, 0] - 46) / (350 - 46)
            y = (218 - points[:, 1]) / (218 - 10)
            area = np.interp(np.linspace(0, 1, 101), x, y).mean()
            assert area == pytest.approx(scores[kind].summary[name], abs=1e-3), (kind, name)


def test_numbers_of_the_page_are_those_of_the_evaluation(tmp_path):
    truth, results = random_case(1)
    content = page_of(truth, results, tmp_path)
    scores = evaluate(truth, results, iou_types=("bbox",))["bbox"]
    rows = re.findall(r"<tr><th scope=\"row\"><b>(A[PR]\w*)</b>.*?<td>([-.\d]+)</td></tr>", content)
    expected = {name: f"{value:.3f}" for name, value in scores.summary.items()}
    assert dict(rows) == expected | {"APl": "-", "ARl": "-"}
    for name, value in scores.per_class.items():
        assert re.search(rf">{name}</a>.*?{value:.3f}</span>", content)


def test_the_page_stands_alone(tmp_path):
    truth, results = one_of_each()
    content = page_of(truth, with_masks(results), tmp_path, iou_types=IOU_TYPES, source=grey_image)
    page = Parsed(content)
    addresses = [
        value
        for _, attributes in page.elements
        for key, value in attributes.items()
        if key in ("src", "href", "action", "srcset")
    ]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"url\(|@import|https?:", content)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {address[1:] for address in addresses if address.startswith("#")} <= ids
    assert list(tmp_path.iterdir()) == [tmp_path / "index.html"]
    assert content == page_of(
        truth, with_masks(results), tmp_path, iou_types=IOU_TYPES, source=grey_image
    )


def test_it_can_be_read_without_eyes(tmp_path):
    truth, results = one_of_each()
    page = Parsed(page_of(truth, results, tmp_path, source=grey_image))
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("nav")) == 1
    assert len(page.all("table")) == len(page.all("caption")) > 5
    assert all(chart.get("aria-label") for chart in page.all("svg") if chart.get("role") == "img")
    assert page.all("html")[0]["lang"] == "en"
    assert "Ground truth: 2 fox, 1 cat, 1 dog" in [image["alt"] for image in page.all("img")]
    assert page.all("a")[0] == {"href": "#scores", "class": "skip"}


def test_names_are_text_everywhere(tmp_path):
    bad = "<script>alert(1)</script>"
    names = (bad, "\"'><img src=x onerror=alert(1)>", "&lt;b&gt;")
    truth, results = one_of_each()
    truth = dataclasses.replace(
        truth,
        file_names={1: bad},
        categories=tuple(
            dataclasses.replace(item, name=name)
            for item, name in zip(truth.categories, names, strict=True)
        ),
    )
    page = Parsed(page_of(truth, results, tmp_path, title=f"{bad} against it"))
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert all(name in page.text for name in names)
    assert f"{bad} against it" in page.texts


def test_without_images_the_page_says_how_to_get_them(tmp_path):
    truth, results = one_of_each()
    page = Parsed(page_of(truth, results, tmp_path))
    assert page.all("img") == []
    assert "--images FOLDER" in page.text
    with_pictures = Parsed(page_of(truth, results, tmp_path, source=grey_image))
    assert "--images" not in with_pictures.text
    assert len(with_pictures.all("img")) == 2


def nothing_found():
    truth, _ = one_of_each()
    return truth, []


def nothing_to_find():
    truth, results = one_of_each()
    return dataclasses.replace(truth, objects=()), results


def nothing_at_all():
    return truth_of([]), []


def one_class():
    truth = truth_of([(1, 0, (0, 0, 20, 20))], names=("cat",))
    return truth, [result(1, 0, (0, 0, 20, 20), 0.9)]


def all_wrong():
    return truth_of([(1, 0, (0, 0, 20, 20))]), [result(1, 1, (50, 50, 20, 20), 7.5)]


def only_a_crowd():
    truth = truth_of([(1, 0, (0, 0, 90, 90), True)])
    return truth, [result(1, 0, (0, 0, 20, 20), 0.9)]


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize(
    ("case", "words"),
    [
        (nothing_found, "There are no detections"),
        (nothing_to_find, "There are no objects to find"),
        (nothing_at_all, "There are neither objects nor detections"),
        (one_class, "No object is taken for one of another class"),
        (all_wrong, "No detection is right"),
        (only_a_crowd, "There are neither objects nor detections"),
    ],
)
def test_an_honest_page_where_there_is_little_to_say(tmp_path, case, words, masks):
    truth, results = case()
    types = IOU_TYPES if masks else ("bbox",)
    results = with_masks(results) if masks else results
    content = page_of(truth, results, tmp_path, iou_types=types, source=grey_image)
    assert words in Parsed(content).text
    assert not re.search(r"\b(nan|inf|None)\b", content)


def test_classes_without_objects_are_named_and_have_no_ap(tmp_path):
    truth = truth_of([(1, 0, (0, 0, 20, 20))])
    page = Parsed(page_of(truth, [result(1, 1, (0, 0, 20, 20), 0.9)], tmp_path))
    assert "Without objects, and so without AP: 2 classes" in page.texts
    assert "dog, fox" in page.texts


def test_many_classes_are_condensed(tmp_path):
    names = tuple(f"class {i}" for i in range(300))
    boxes = [(i, i, (0, 0, 20, 20)) for i in range(1, 61)]
    truth = truth_of(boxes, names=names, num_images=60)
    results = [result(i, i + i % 2, box, 0.9) for i, _, box in boxes]
    content = page_of(truth, results, tmp_path)
    matrix = re.search(r'<table class="matrix">.*?</table>', content)
    assert matrix
    assert matrix[0].count("<tr>") == 1 + 12 + 2
    assert "other classes" in matrix[0]
    assert len(content) < 500_000


def test_the_worst_and_the_best_images_are_drawn_once_each(tmp_path):
    boxes = [(i, 0, (0, 0, 20, 20)) for i in range(1, 31)]
    truth = truth_of(boxes, num_images=31)  # the last has no objects
    results = [result(i, 0, (0, 0, 20 - i / 4, 20), 0.9) for i, _, _ in boxes]
    asked = []

    def source(image_id):
        asked.append(image_id)
        return grey_image(image_id)

    page = Parsed(page_of(truth, results, tmp_path, source=source))
    assert asked == [*range(30, 22, -1), 1, 2, 3, 4]
    assert len(page.all("img")) == 24
    asked.clear()
    page_of(truth_of(boxes[:3], num_images=3), results[:3], tmp_path, source=source)
    assert sorted(asked) == [1, 2, 3]


def test_large_images_are_shrunk_with_what_is_drawn_on_them(tmp_path):
    truth, results = one_of_each()
    truth = dataclasses.replace(truth, image_sizes={1: (1500, 3000)})

    def source(_):
        return np.full((1500, 3000, 3), 128, np.uint8)

    page = Parsed(page_of(truth, results, tmp_path, source=source))
    assert [(image["width"], image["height"]) for image in page.all("img")] == 2 * [("640", "320")]


@pytest.fixture
def folder(tmp_path, content, write):
    """Images of the annotation file of the tests of evaluation."""
    for item in content["images"]:
        picture = np.full((item["height"], item["width"], 3), item["id"], np.uint8)
        cv2.imwrite(str(tmp_path / item["file_name"].replace(".jpg", ".png")), picture)
        item["file_name"] = item["file_name"].replace(".jpg", ".png")
    return tmp_path, read_truth(write(content))


def test_images_of_a_folder_are_read_by_their_ids(folder):
    source = images_in(*folder)
    assert [source(key)[0, 0, 0] for key in (7, 3, 5)] == [7, 3, 5]


def test_a_folder_without_all_images_is_refused_at_once(folder):
    place, truth = folder
    (place / "3.png").unlink()
    with pytest.raises(InputError, match=r"1 of 3 images are not here, for example '3.png'; give"):
        images_in(place, truth)
    with pytest.raises(InputError, match="3 of 3 images"):
        images_in(place / "nowhere", truth)


def test_an_image_of_another_size_is_refused(folder):
    place, truth = folder
    cv2.imwrite(str(place / "3.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"3\.png.*9x9"):
        images_in(place, truth)(3)


def test_the_page_says_by_whose_rules_and_scores_it_goes(tmp_path):
    truth, results = one_of_each()
    page = Parsed(page_of(truth, with_masks(results), tmp_path, iou_types=IOU_TYPES)).text
    for text in ("by the COCO metrics", "if COCO's", "100 detections of each", "pycocotools"):
        assert text in page
    assert "LVIS" not in page
    assert "mask_score" not in page

    federation = Federation(absent={}, not_exhaustive={}, frequencies={0: "r", 10: "c", 20: "f"})
    truth = dataclasses.replace(truth, federation=federation)
    results = [item | {"mask_score": 0.5} for item in with_masks(results)]
    page = Parsed(page_of(truth, results, tmp_path, iou_types=IOU_TYPES)).text
    for text in ("by the LVIS metrics", "if LVIS's", "300 detections of each", "package lvis"):
        assert text in page
    assert "COCO" not in page
    assert "one of mask_score; predict.py goes by score" in page
