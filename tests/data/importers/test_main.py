import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.data.annotations import read_annotations
from maskrcnn_jax.data.check import check_split
from maskrcnn_jax.data.importers import writing
from maskrcnn_jax.data.importers.__main__ import main
from tests.data.importers.exports import (
    HEIGHT,
    WIDTH,
    labelme_mask,
    labelme_shape,
    photograph,
    via_region,
    write_cityscapes,
    write_cvat,
    write_ids,
    write_labelme,
    write_photograph,
    write_via,
)
from tests.data.odd_images import turned_jpeg

SQUARE = [[5, 5], [25, 5], [25, 25], [5, 25]]


@pytest.fixture
def run(monkeypatch) -> Callable[..., int]:
    """Runs the program; its exit status."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["importers", *map(str, arguments)])
        try:
            main()
        except SystemExit as exit_:
            return exit_.code
        return 0

    return run


@pytest.fixture
def exported(tmp_path) -> Path:
    """Ten images of labelme with one object each."""
    folder = tmp_path / "exported"
    for number in range(10):
        label = ("cat", "dog")[number % 2]
        write_labelme(folder, f"{number}", [labelme_shape("polygon", SQUARE, label=label)])
    return folder


def labelme(folder):
    block = np.ones((9, 9), bool)
    shapes = [
        labelme_shape("rectangle", SQUARE[::2]),
        labelme_shape("circle", SQUARE[:2]),
        labelme_mask(block, 30, 7),
    ]
    write_labelme(folder / "sub", "ünï", shapes)
    return folder


def via(folder):
    regions = [
        via_region("rect", x=3, y=4, width=20, height=21),
        via_region("ellipse", cx=40, cy=20, rx=12, ry=9, theta=1.0),
    ]
    return write_via(folder, {"a.png": regions})


def cvat(folder):
    shapes = '<box label="cat" xtl="1" ytl="2" xbr="30" ybr="35" rotation="10"/>'
    return write_cvat(folder, {"sub/ünï.png": shapes}, labels=("cat",))


@pytest.mark.parametrize("export", [labelme, via, cvat])
def test_what_is_written_is_clean(run, tmp_path, capsys, export):
    out = tmp_path / "out"
    assert run(export.__name__, export(tmp_path / "exported"), "--out", out) == 0
    checked = check_split(out, "train")
    assert checked.problems == ()
    assert checked.num_images == 1
    assert f"check {out} --split train" in capsys.readouterr().out


def test_cityscapes_is_clean_but_for_its_crowds(run, tmp_path, capsys):
    ids = np.full((HEIGHT, WIDTH), 7)
    ids[5:15, 5:20], ids[30:, 30:] = 26000, 26
    write_cityscapes(source := tmp_path / "cityscapes", ids)
    assert run("cityscapes", source, "--out", tmp_path / "out", "--split", "val") == 0
    kinds = {problem.kind.name for problem in check_split(tmp_path / "out", "val").problems}
    assert kinds == {"CROWD", "EMPTY_CATEGORY"}
    assert "1 images, 2 objects, 8 categories" in capsys.readouterr().out


def test_images_are_divided_always_in_the_same_way(run, tmp_path, exported):
    for name in ("one", "other"):
        assert run("labelme", exported, "--out", tmp_path / name, "--val-share", 0.2) == 0
    names = {}
    for split in ("train", "val"):
        one, other = (
            tmp_path / name / "annotations" / f"instances_{split}.json" for name in ("one", "other")
        )
        assert one.read_bytes() == other.read_bytes()
        content = read_annotations(one)
        names[split] = set(content.images.file_names)
        assert [category.name for category in content.categories] == ["cat", "dog"]
        assert {path.name for path in (tmp_path / "one" / split).iterdir()} == names[split]
    assert len(names["val"]) == 2
    assert names["train"] | names["val"] == {f"{number}.png" for number in range(10)}


def test_what_would_be_confused_is_refused(run, tmp_path, exported, capsys):
    arguments = ("labelme", exported, "--val-share", 0.2)
    assert run(*arguments, "--out", tmp_path / "out", "--split", "val") == 2
    assert "--val-share fills 'val'; give the rest another" in capsys.readouterr().err
    assert run(*arguments, "--out", exported / "out") == 2
    assert "lies in what is read" in capsys.readouterr().err
    write_labelme(tmp_path / "empty", "a", [labelme_shape("point", [[1, 1]])])
    assert run("labelme", tmp_path / "empty", "--out", tmp_path / "out") == 2
    assert "there is no object with an area" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [-0.1, 1, 7])
def test_a_share_is_between_0_and_1(run, tmp_path, exported, capsys, share):
    assert run("labelme", exported, "--out", tmp_path / "out", "--val-share", share) == 2
    assert "--val-share is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_run_again_it_changes_nothing_and_never_replaces(run, tmp_path, exported, capsys):
    out = tmp_path / "out"
    image, annotations = out / "train" / "3.png", out / "annotations" / "instances_train.json"
    assert run("labelme", exported, "--out", out) == 0
    before = annotations.stat().st_mtime_ns
    image.unlink()  # as where an earlier import was killed
    assert run("labelme", exported, "--out", out) == 0
    assert image.exists()
    assert annotations.stat().st_mtime_ns == before
    image.unlink()
    image.write_bytes(photograph(1))
    assert run("labelme", exported, "--out", out) == 2
    assert f"{image}: is there already, with other content" in capsys.readouterr().err
    write_labelme(exported, "new", [])
    assert run("labelme", exported, "--out", out) == 2
    assert f"{annotations}: is there already, with other content" in capsys.readouterr().err
    assert not (out / "train" / "new.png").exists()


def test_images_are_linked_or_copied(run, tmp_path, exported, monkeypatch):
    assert run("labelme", exported, "--out", tmp_path / "linked") == 0
    assert (tmp_path / "linked/train/3.png").samefile(exported / "3.png")

    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    assert run("labelme", exported, "--out", tmp_path / "copied") == 0
    copy = tmp_path / "copied/train/3.png"
    assert not copy.samefile(exported / "3.png")
    assert copy.read_bytes() == (exported / "3.png").read_bytes()


def test_what_fails_leaves_nothing_behind(run, tmp_path, exported, monkeypatch, capsys):
    written = []

    def fail(path, picture):
        if len(written) == 5:
            raise OSError("no space left on device")
        written.append(path)
        path.write_bytes(picture.content())

    monkeypatch.setattr(writing, "_write", fail)
    assert run("labelme", exported, "--out", tmp_path / "out") == 2
    assert "no space left" in capsys.readouterr().err
    assert len(written) == 5
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_turned_images_are_written_upright(run, tmp_path, capsys):
    folder = tmp_path / "exported"
    path = write_via(folder, {"a.jpg": [via_region("rect", x=3, y=30, width=20, height=21)]})
    (folder / "a.jpg").write_bytes(turned_jpeg(photograph(suffix=".jpg"), 6))
    assert run("via", path, "--out", tmp_path / "out") == 0
    assert "written upright, as they were shown (EXIF): 1 images" in capsys.readouterr().out
    assert check_split(tmp_path / "out", "train").problems == ()
    content = read_annotations(tmp_path / "out" / "annotations" / "instances_train.json")
    assert (content.images.file_names, content.images.heights.tolist()) == (("a.png",), [WIDTH])
    assert run("via", path, "--out", tmp_path / "out") == 0


def test_a_second_split_has_the_categories_of_the_first(run, tmp_path, exported, capsys):
    out, other = tmp_path / "out", tmp_path / "other"
    assert run("labelme", exported, "--out", out) == 0
    write_labelme(other, "a", [labelme_shape("polygon", SQUARE, label="dog")])
    assert run("labelme", other, "--out", out, "--split", "val") == 0
    train, val = (
        json.loads((out / "annotations" / f"instances_{split}.json").read_text())
        for split in ("train", "val")
    )
    assert train["categories"] == val["categories"]
    assert val["annotations"][0]["category_id"] == 2
    write_labelme(other, "b", [labelme_shape("polygon", SQUARE, label="zebra")])
    assert run("labelme", other, "--out", out, "--split", "test") == 2
    assert "has no category 'zebra'" in capsys.readouterr().err


def test_two_images_of_one_name_are_refused(run, tmp_path, capsys):
    path = write_via(tmp_path, {"a.png": []})
    content = json.loads(path.read_text())
    (entry,) = content.values()
    path.write_text(json.dumps({"one": entry, "two": entry}))
    assert run("via", path, "--out", tmp_path / "out") == 2
    assert "two images would become 'a.png'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["labelme", "via", "cvat"])
def test_one_image_file_is_not_two_images(run, tmp_path, capsys, kind):
    """Where folders are missing, their images would be one and the same."""
    exported, flat = tmp_path / "exported", tmp_path / "flat"
    names = ("cam1/x.png", "cam2/x.png")
    write_photograph(flat / "x.png")
    source = exported
    if kind == "via":
        source = write_via(exported, {name: [] for name in names})
    elif kind == "cvat":
        source = write_cvat(exported, dict.fromkeys(names, ""))
    else:
        for name in names:
            write_labelme(exported, name.removesuffix(".png"), [])
    assert run(kind, source, "--images", flat, "--out", tmp_path / "out") == 2
    message = {"labelme": "x.png: is the only image for both 'cam1/x.png' and 'cam2/x.png'"}
    assert message.get(kind, "there is no image 'cam1/x.png' in") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_of_numbers_are_divided(run, tmp_path, capsys):
    for number in range(10):
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        ids[5:15, 5:20], ids[20:30, 5:20] = 1, 2
        write_photograph(tmp_path / "PNGImages" / f"FudanPed{number}.png")
        write_ids(tmp_path / "PedMasks" / f"FudanPed{number}_mask.png", ids)
    arguments = ("instances", tmp_path / "PedMasks", "--images", tmp_path / "PNGImages")
    options = ("--classes", "person", "--val-share", 0.3, "--out", tmp_path / "out")
    assert run(*arguments, *options) == 0
    assert "7 images, 14 objects, 1 categories" in capsys.readouterr().out
    for split in ("train", "val"):
        assert check_split(tmp_path / "out", split).problems == ()


def test_help_and_mistakes(run, tmp_path, capsys):
    assert run() == 2
    assert run("--help") == 0
    assert "cityscapes CITYSCAPES --out MYDATA" in capsys.readouterr().out
    assert run("--help", "names") == 0
    formats = ["labelme", "via", "cvat", "instances", "cityscapes"]
    assert capsys.readouterr().out.split() == formats
    assert run("labelm") == 2
    assert "Did you mean 'labelme'" in capsys.readouterr().err
    assert run("cvat", tmp_path / "nothing.xml", "--out", tmp_path / "out") == 2
    assert "nothing.xml" in capsys.readouterr().err
    assert run("labelme", tmp_path) == 2
    assert "--out" in capsys.readouterr().err
