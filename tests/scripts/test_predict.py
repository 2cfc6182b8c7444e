import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import maskrcnn_jax
import predict
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.inference.options import OutputOptions
from tests.data.samples import make_config


def _write(path, *shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, shape, np.uint8))


def test_pictures_results_and_counts_and_going_on(run, workdir, tmp_path):
    """One image is damaged at first; the same command, when it is mended, does that one alone."""
    _write(tmp_path / "in/wide.png", 50, 200, 3)
    _write(tmp_path / "in/sub/grey.jpg", 90, 64)
    _write(tmp_path / "one.png", 1, 1, 3)
    (tmp_path / "in/bad.png").write_bytes(b"not a picture")
    (tmp_path / "in/notes.txt").write_text("not an image")
    out = tmp_path / "out"
    command = (
        *("predict.py", "--workdir", workdir, tmp_path / "in", tmp_path / "one.png"),
        *("--out", out, "--min-score", "0.0", "--save", "pictures", "maps"),
    )
    result = run(*command)
    assert result.returncode == 1, result.stderr
    assert "3 images\n" in result.stdout
    assert "1 images could not be used:\n" in result.stdout
    assert f"{tmp_path / 'in/bad.png'}: not a readable image" in result.stdout
    before = json.loads((out / "results.json").read_text())
    assert {record["image_id"] for record in before} <= {2, 3, 4}

    _write(tmp_path / "in/bad.png", 64, 64, 3)
    written = (out / "wide.png").stat().st_mtime_ns
    result = run(*command)
    assert result.returncode == 0, result.stderr
    assert "going on: 3 of 4 images are done" in result.stdout
    assert "4 images\n" in result.stdout
    assert (out / "wide.png").stat().st_mtime_ns == written
    pictures = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    names = {"bad.png", "wide.png", "sub/grey.png", "one.png"}
    assert pictures == {*names, *(f"maps/{name}" for name in names), "results.json"}
    height, width = cv2.imread(str(out / "wide.png")).shape[:2]
    assert width == 4 * height  # small images are enlarged
    assert cv2.imread(str(out / "maps/wide.png"), cv2.IMREAD_UNCHANGED).shape == (50, 200)
    records = json.loads((out / "results.json").read_text())
    assert [record for record in records if record["image_id"] > 1] == before
    for record in records:
        if record["file_name"].endswith("wide.png"):
            assert record["segmentation"]["size"] == [50, 200]

    detector = maskrcnn_jax.load(workdir)
    assert detector.categories[:2] == ("disc", "rectangle")
    found = detector(tmp_path / "in/wide.png")
    expected = [r for r in records if r["file_name"].endswith("wide.png")]
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.scores, [r["score"] for r in expected], rtol=1e-4)
    assert np.asarray(found.masks).shape == (len(found), 50, 200)
    pixels = cv2.cvtColor(cv2.imread(str(tmp_path / "in/wide.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(detector(pixels).boxes, found.boxes)
    for wrong, told in [
        (pixels / 255, "uint8 from 0 to 255, not float64"),
        (pixels[..., 0], r"not \[50, 200\]"),
        (pixels[:0], r"not \[0, 200, 3\]"),
        ([pixels], "not list"),
    ]:
        with pytest.raises(InputError, match=told):
            detector(wrong)


def test_a_video_is_followed(run, workdir, tmp_path):
    """And refused where it cannot be read; tests/inference/test_videos.py has what is found."""
    clip, out = tmp_path / "clip.avi", tmp_path / "out"
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    file = cv2.VideoWriter(str(clip), cv2.CAP_FFMPEG, fourcc, 10, (64, 48))
    for _ in range(3):
        file.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    file.release()
    command = ("predict.py", "--workdir", workdir, "--out", out, "--min-score", "0.0")
    result = run(*command, clip)
    assert result.returncode == 0, result.stderr
    assert f"{clip}: 3 frames, different objects: " in result.stdout
    names = {"clip.webm", "clip.json", "clip.csv", "clip.tracks.csv"}
    assert {path.name for path in out.iterdir()} == names
    records = json.loads((out / "clip.json").read_text())
    assert {record["frame"] for record in records} == {0, 1, 2}
    clip.write_bytes(b"")
    result = run(*command, clip)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert f"error: {clip}: no video that OpenCV can read" in result.stderr


def test_bad_input_is_one_clear_message(fails, workdir, tmp_path):
    out = tmp_path / "out"
    missing = fails("predict.py", "--workdir", workdir, tmp_path / "a.png", "--out", out)
    assert f"{tmp_path / 'a.png'}: there is no such image or folder" in missing
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    bad = fails("predict.py", "--workdir", workdir, tmp_path / "bad.png", "--out", out)
    assert "bad.png: not a readable image" in bad
    _write(tmp_path / "good.png", 8, 8, 3)
    good = ("--workdir", workdir, tmp_path / "good.png", "--out", out)
    message = fails("predict.py", *good, "--classes", "disc", "rectangel")
    assert "there is no class 'rectangel'. Did you mean 'rectangle'?" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": OutputOptions(classes=("disc", "in"))}, "has taken in, too: put images before"),
        ({"out": Path("a.png")}, r"a\.png is a file; name a folder"),
    ],
)
def test_places_that_cannot_be_meant_are_refused(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "a.png").touch()
    arguments = predict.RunArguments(
        images=(), workdir=tmp_path, out=tmp_path / "out", input=make_config()
    )
    predict.check_places(arguments)
    with pytest.raises(InputError, match=message):
        predict.check_places(dataclasses.replace(arguments, **changes))
