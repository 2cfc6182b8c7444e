"""Weights come in and go out as a user would do it."""

import json

import cv2
import numpy as np
import pytest

from maskrcnn_jax.convert.files import read_tensors, write_tensors
from tests.convert.models import small_model, state_dict
from tests.scripts.conftest import TINY

CONVERT = ("-m", "maskrcnn_jax.convert")


@pytest.fixture(scope="module")
def pickle(tmp_path_factory):
    """A small detector of 3 classes, as Detectron2 would save it."""
    path = tmp_path_factory.mktemp("weights") / "model_final.pkl"
    write_tensors(path, state_dict("detectron2", small_model()))
    return path


@pytest.fixture
def categories(tmp_path):
    path = tmp_path / "names.json"
    names = [{"id": 4 * i + 1, "name": name} for i, name in enumerate(("ant", "bee", "cow"))]
    path.write_text(json.dumps({"categories": names}))
    return path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    return path


def test_a_run_leaves_as_one_file_and_scores_the_same(run, workdir, tmp_path):
    path = tmp_path / "weights.safetensors"
    result = run(*CONVERT, workdir, "--to", "safetensors", "--out", path)
    assert result.returncode == 0, result.stderr
    for options in (["--workdir", workdir], ["--init.checkpoint", path]):
        result = run("eval.py", *options, "--out", tmp_path / options[0])
        assert result.returncode == 0, result.stderr
    a, b = (tmp_path / name / "results.json" for name in ("--workdir", "--init.checkpoint"))
    assert a.read_text() == b.read_text()


def test_a_model_of_detectron2_predicts_as_it_is_and_as_a_run(
    run, pickle, categories, image, tmp_path
):
    result = run(
        *(*CONVERT, pickle, "--to", "jax", "--out", tmp_path / "run"),
        *("--categories", categories, "--model.roi.detections.score-threshold", "0.0"),
    )
    assert result.returncode == 0, result.stderr
    sources = {
        "run": ["--workdir", tmp_path / "run"],
        "file": ["--init.checkpoint", pickle, "--categories", categories],
    }
    for name, options in sources.items():
        result = run("predict.py", *options, image, "--out", tmp_path / name / "out")
        assert result.returncode == 0, result.stderr
    in_run, in_file = (
        json.loads((tmp_path / name / "out/results.json").read_text()) for name in sources
    )
    assert in_run
    assert {record["category_id"] for record in in_run} <= {1, 5, 9}
    sure = [record for record in in_run if record["score"] > 0.05]  # the file's own threshold
    assert in_file[: len(sure)] == sure


def test_every_byte_comes_back(run, pickle, tmp_path):
    other, again = tmp_path / "other.pth", tmp_path / "again.pkl"
    for options in ([pickle, "--to", "mmdetection", "--out", other],
                    [other, "--to", "detectron2", "--out", again]):  # fmt: skip
        result = run(*CONVERT, *options)
        assert result.returncode == 0, result.stderr
    before, after = read_tensors(pickle).tensors, read_tensors(again).tensors
    assert {name: x.tobytes() for name, x in before.items()} == {
        name: x.tobytes() for name, x in after.items()
    }


def test_differences_to_the_target_are_said(run, pickle, tmp_path):
    result = run(*CONVERT, pickle, "--to", "torchvision", "--out", tmp_path / "model.pth")
    assert result.returncode == 0, result.stderr
    assert "note: --model.pixels.order is bgr; torchvision by itself takes rgb" in result.stdout


def test_fine_tuning_starts_from_a_run(run, workdir, tmp_path):
    result = run(
        *("train.py", "shapes", "--workdir", tmp_path / "run", *TINY, "--init.checkpoint", workdir),
        *("--init.new-classes", "True"),
    )
    assert result.returncode == 0, result.stderr
    assert f"{workdir}: " in result.stdout
    assert "(maskrcnn_jax)" in result.stdout


def test_what_does_not_fit_is_listed(fails, pickle, tmp_path):
    command = ("train.py", "shapes", "--workdir", tmp_path / "run", *TINY)
    message = fails(*command, "--init.checkpoint", pickle)
    assert "Missing" in message
    assert "backbone.fpn_lateral2.norm.bias" in message  # the preset has norms there
    assert "Without a place" in message
    assert not (tmp_path / "run").exists()


def test_bad_input_is_one_clear_message(fails, run, pickle, workdir, image, shared, tmp_path):
    out = tmp_path / "out"
    assert "does not exist" in fails(*CONVERT, tmp_path / "no.pkl", "--to", "npz", "--out", out)
    assert "must end in .npz" in fails(*CONVERT, pickle, "--to", "npz", "--out", out)
    backbone = shared / "weights/resnet50_imagenet_folded.npz"
    assert "holds only a backbone" in fails(*CONVERT, backbone, "--to", "npz", "--out", out)
    assert "already holds a run" in fails(*CONVERT, pickle, "--to", "jax", "--out", workdir)
    assert "SOURCE comes first" in fails(*CONVERT, "--to", "npz", "--out", out, pickle)
    (tmp_path / "text.pth").write_text("not weights")
    assert "text.pth" in fails(
        "predict.py", "--init.checkpoint", tmp_path / "text.pth", image, "--out", out
    )
    assert "either --workdir or --init.checkpoint" in fails("predict.py", image, "--out", out)
    preset = ("--preset", "detectron2_r50_fpn_3x")
    message = fails("predict.py", "--init.checkpoint", pickle, *preset, image, "--out", out)
    assert "does not fit the model" in message
    assert "Did you mean" in fails(
        "predict.py", "--init.checkpoint", pickle, "--preset", "detectron2_r50", image, "--out", out
    )
    assert not out.exists()
