"""A file of export.py, where there is JAX and nothing of this project."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrcnn_jax.evaluation import rle
from tests.scripts.conftest import ROOT

# All that is installed there: JAX, what it needs, and flatbuffers, in which programs are written.
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "ml_dtypes", "opt_einsum", "flatbuffers")
SIZE = (80, 100)

PROGRAM = """
import sys
try:
    import maskrcnn_jax
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("this package is there")
import numpy
images = numpy.load("images.npy")
{code}
assert not {{"maskrcnn_jax", "flax", "cv2"}} & set(sys.modules)
numpy.savez("found.npz", **found)
"""


@pytest.fixture(scope="module")
def images():
    """One with rectangles, one of noise, one that is black."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, *SIZE, 3), np.uint8)
    images[0, :40], images[0, 10:30, 20:60] = 30, 200
    images[2] = 0
    return images


@pytest.fixture(scope="module")
def environment_with_jax_alone(tmp_path_factory):
    """A folder of packages that has nothing else."""
    folder = tmp_path_factory.mktemp("packages")
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is not installed"
        place = Path(str(spec.origin)).parent
        (folder / name).symlink_to(place)
        libraries = place.with_name(f"{name}.libs")  # of numpy and scipy
        if libraries.is_dir():
            (folder / libraries.name).symlink_to(libraries)
    return folder


def code_of_the_docs():
    """The first block of Python in docs/export.md."""
    text = (ROOT / "docs" / "export.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]


def test_it_runs_with_jax_alone_and_finds_what_predict_finds(
    run, workdir, images, environment_with_jax_alone, environment, tmp_path
):
    result = run(
        *("export.py", "--workdir", workdir, "--sizes", *SIZE, 64, 64),
        *("--out", tmp_path / "shapes.zip"),
    )
    assert result.returncode == 0, result.stderr
    assert f"written to {tmp_path / 'shapes.zip'}" in result.stdout

    code = code_of_the_docs().replace("128x128", f"{SIZE[0]}x{SIZE[1]}")
    np.save(tmp_path / "images.npy", images[:1])
    subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM.format(code=code)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(environment_with_jax_alone), "JAX_PLATFORMS": "cpu"},
        check=True,
        timeout=600,
    )
    found = np.load(tmp_path / "found.npz")

    cv2.imwrite(str(tmp_path / "image.png"), images[0, ..., ::-1])
    out = tmp_path / "out"
    result = run("predict.py", "--workdir", workdir, tmp_path / "image.png", "--out", out)
    assert result.returncode == 0, result.stderr
    records = json.loads((out / "results.json").read_text())

    kept = found["valid"][0]
    boxes, scores = found["boxes"][0, kept], found["scores"][0, kept]
    assert len(records) == kept.sum() > 0
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    assert [record["bbox"] for record in records] == boxes.tolist()
    assert [record["score"] for record in records] == scores.tolist()
    masks = [rle.encode(mask) for mask in found["masks"][0, kept]]
    assert [record["segmentation"] for record in records] == masks


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sizes", "0", "64"], ["--sizes", "positive"]),
        (["--sizes", "64", "64", "--batch-size", "0"], ["--batch-size must be at least 1"]),
    ],
)
def test_bad_options_are_one_clear_message(fails, workdir, tmp_path, options, words):
    message = fails("export.py", "--workdir", workdir, *options, "--out", tmp_path / "a.zip")
    assert all(word in message for word in words), message
    assert not list(tmp_path.iterdir())
