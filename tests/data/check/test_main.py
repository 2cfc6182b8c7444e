import json
import sys

import pytest

from maskrcnn_jax.data.check.__main__ import main
from tests.data.coco_files import content, write_coco


def run(monkeypatch, *arguments):
    """The exit status."""
    monkeypatch.setattr(sys, "argv", ["check", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


def test_what_stops_training_is_status_1_and_comes_first(tmp_path, monkeypatch, capsys):
    def spoil(value):
        for i in range(5):
            value["annotations"].append(value["annotations"][0] | {"id": 100 + i, "area": -1})
        value["images"][2]["file_name"] = "c.png"

    root = write_coco(tmp_path, content(spoil))
    (root / "images/c.png").unlink()
    out = tmp_path / "reports" / "report.json"
    assert run(monkeypatch, root, "--split", "train", "--out", out) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(root / "annotations/instances_train.json")
    assert lines[1] == (
        "3 images, 2 objects and 1 crowds of 2 categories; at most 2 objects in an image"
    )
    assert lines[3:8] == [
        "Stops training",
        "      5  number that is NaN, infinite or out of range: refused",
        "             annotation 100: 'area' is -1; it must be a finite number, 0 or more.",
        "             annotation 101: 'area' is -1; it must be a finite number, 0 or more.",
        "             annotation 102: 'area' is -1; it must be a finite number, 0 or more.",
    ]
    assert lines[8].strip() == "..."
    assert lines[-1] == "Training refuses this split: 6 problems must be mended."

    report = json.loads(out.read_text())
    assert report["stops_training"] is True
    assert report["num_images"] == 3
    numbers, missing = report["problems"][:2]
    assert (numbers["kind"], numbers["effect"], numbers["count"]) == ("bad_number", "stops", 5)
    assert [item["where"] for item in numbers["found"]] == [
        f"annotation {100 + i}" for i in range(5)
    ]
    assert (missing["kind"], missing["found"][0]["where"]) == ("missing_image", "image 5")


def test_what_does_not_stop_training_is_status_0(tmp_path, monkeypatch, capsys):
    root = write_coco(tmp_path, content())
    assert run(monkeypatch, root, "--split", "train") == 0
    assert "\n      1  crowd: not trained on; " in (out := capsys.readouterr().out)
    assert out.endswith("\nNothing here stops training.\n")


def test_a_split_that_is_not_there_is_status_2(tmp_path, monkeypatch, capsys):
    root = write_coco(tmp_path, content())
    assert run(monkeypatch, root, "--split", "trian") == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err
    assert run(monkeypatch, root) == 2


@pytest.mark.parametrize(
    ("name", "split", "kinds"),
    [
        (
            "coco2017_mini",
            "train2017",
            {"crowd": 9, "empty_image": 1, "grey_image": 1, "tiny_object": 2, "empty_category": 13},
        ),
        ("penn_fudan", "val", {}),
    ],
)
def test_real_data_stops_nothing(shared, tmp_path, monkeypatch, name, split, kinds):
    out = tmp_path / "report.json"
    assert run(monkeypatch, shared / "data" / name, "--split", split, "--out", out) == 0
    report = json.loads(out.read_text())
    assert {item["kind"]: item["count"] for item in report["problems"]} == kinds
