"""The script around the check: what it prints, and how it ends."""

import json

import numpy as np
import pytest

from tests.parity import check_golden
from tests.parity.comparison import Difference

PRESET = "detectron2_r50_fpn_3x"


@pytest.fixture
def golden(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "as the tests have it")
    np.savez(tmp_path / "golden.npz", resized_rgb=np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "golden.shapes.json").write_text(json.dumps({"stem.conv1.weight": [2, 3, 1, 1]}))
    return tmp_path / "golden.npz"


def status(*argv):
    with pytest.raises(SystemExit) as ended:
        check_golden.main([str(argument) for argument in argv])
    return ended.value.code


@pytest.mark.parametrize(("value", "expected"), [(1e-9, 0), (1e-7, 1)])
def test_status_follows_the_bars(golden, monkeypatch, capsys, value, expected):
    rows = [Difference(quantity="boxes", value=value, bar=1e-8, where="entry 3")]
    monkeypatch.setattr(check_golden, "check", lambda *_, **__: rows)
    assert status(golden, "--preset", PRESET) == expected
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line == ["boxes", f"{value:g}", "1e-08", ["ok", "FAIL"][expected], "entry", "3"]


def test_shapes_of_a_training_step_are_those_of_the_inference(golden, monkeypatch):
    golden.rename(golden.with_name("x_train.npz"))
    golden.with_suffix(".shapes.json").rename(golden.with_name("x_a.shapes.json"))
    given = []
    monkeypatch.setattr(check_golden, "check", lambda _, shapes, **__: given.append(shapes) or [])
    assert status(golden.with_name("x_train.npz"), "--preset", PRESET) == 0
    assert given == [{"stem.conv1.weight": (2, 3, 1, 1)}]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "golden.npz"),
        (lambda path: path.write_bytes(b"PK\3\4"), "not a readable npz file"),
        (lambda path: path.with_suffix(".shapes.json").unlink(), "say with --shapes"),
        (lambda path: path.with_suffix(".shapes.json").write_text("[1]"), "no JSON object"),
        (lambda path: np.savez(path, x=np.ones(1)), "no array 'resized_rgb'"),
    ],
)
def test_wrong_files_are_one_line_and_status_2(golden, capsys, spoil, message):
    spoil(golden)
    assert status(golden, "--preset", PRESET) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_wrong_words_are_status_2(golden, capsys):
    assert status(golden, "--preset", "detectron2_r50_fpn_3") == 2
    assert f"Did you mean {PRESET!r}" in capsys.readouterr().err
    assert status(golden) == 2
    assert "--preset" in capsys.readouterr().err
