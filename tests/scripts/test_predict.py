import json

import cv2
import numpy as np


def _write(path, *shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, shape, np.uint8))


def test_pictures_results_and_counts(run, workdir, tmp_path):
    _write(tmp_path / "in/wide.png", 50, 200, 3)
    _write(tmp_path / "in/sub/grey.jpg", 90, 64)
    _write(tmp_path / "one.png", 1, 1, 3)
    (tmp_path / "in/notes.txt").write_text("not an image")
    out = tmp_path / "out"
    result = run(
        *("predict.py", "--workdir", workdir, tmp_path / "in", tmp_path / "one.png"),
        *("--out", out, "--min-score", "0.0"),
    )
    assert result.returncode == 0, result.stderr
    assert "3 images:" in result.stdout
    pictures = {str(path.relative_to(out)) for path in out.rglob("*.png")}
    assert pictures == {"wide.png", "sub/grey.png", "one.png"}
    height, width = cv2.imread(str(out / "wide.png")).shape[:2]
    assert width == 4 * height  # small images are enlarged
    records = json.loads((out / "results.json").read_text())
    assert {r["file_name"] for r in records} <= {
        str(tmp_path / name) for name in ("in/wide.png", "in/sub/grey.jpg", "one.png")
    }
    for record in records:
        if record["file_name"].endswith("wide.png"):
            assert record["segmentation"]["size"] == [50, 200]


def test_bad_input_is_one_clear_message(fails, workdir, tmp_path):
    out = tmp_path / "out"
    missing = fails("predict.py", "--workdir", workdir, tmp_path / "a.png", "--out", out)
    assert f"{tmp_path / 'a.png'}: there is no such image or folder" in missing
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    bad = fails("predict.py", "--workdir", workdir, tmp_path / "bad.png", "--out", out)
    assert "bad.png: not a readable image" in bad
    (tmp_path / "empty").mkdir()
    assert "no images" in fails(
        "predict.py", "--workdir", workdir, tmp_path / "empty", "--out", out
    )
    for folder in ("x", "y"):
        _write(tmp_path / folder / "same.png", 8, 8, 3)
    twice = (tmp_path / "x/same.png", tmp_path / "y/same.png")
    assert "rename one" in fails("predict.py", "--workdir", workdir, *twice, "--out", out)
    assert not out.exists()
