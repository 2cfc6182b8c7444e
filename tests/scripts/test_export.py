"""A file of export.py, where there is JAX and nothing of this project."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import export
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.data import rle
from maskrcnn_jax.errors import InputError
from tests import tiny
from tests.data.samples import make_config
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
every_image = numpy.load("images.npy")
images = every_image[:1]
{code}
assert not {{"maskrcnn_jax", "flax", "cv2"}} & set(sys.modules)
numpy.savez("0.npz", **found)
for i in (1, 2):
    numpy.savez(f"{{i}}.npz", **detect(weights, every_image[i : i + 1]))
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
    """In the last image nothing, for all is below the threshold there."""
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{i}.png"), image[..., ::-1])
    out = tmp_path / "out"
    result = run(
        *("predict.py", "--workdir", workdir, tmp_path, "--out", out, "--save"),
        *("--input.eval-batch-size", 1),
    )
    assert result.returncode == 0, result.stderr
    records = json.loads((out / "results.json").read_text())
    of_images = [[r for r in records if r["image_id"] == i] for i in (1, 2, 3)]
    best = [of_one[0]["score"] for of_one in of_images]
    order = np.argsort(best)[::-1].tolist()
    threshold = (best[order[1]] + best[order[2]]) / 2

    result = run(
        *("export.py", "--init.checkpoint", workdir, "--sizes", *SIZE, 64, 64),
        *("--model.roi.detections.score-threshold", threshold, "--out", tmp_path / "shapes.zip"),
    )
    assert result.returncode == 0, result.stderr
    assert f"written to {tmp_path / 'shapes.zip'}" in result.stdout

    code = code_of_the_docs().replace("128x128", f"{SIZE[0]}x{SIZE[1]}")
    np.save(tmp_path / "images.npy", images[order])
    subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM.format(code=code)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(environment_with_jax_alone), "JAX_PLATFORMS": "cpu"},
        check=True,
        timeout=600,
    )
    for i in range(3):
        expected = [r for r in of_images[order[i]] if r["score"] > threshold]
        assert_same(np.load(tmp_path / f"{i}.npz"), expected)
        assert bool(expected) == (i < 2)


def assert_same(found, records):
    """To the last bit."""
    [kept] = found["valid"]
    boxes, scores = found["boxes"][0, kept], found["scores"][0, kept]
    assert kept.sum() == len(records)
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    assert [record["bbox"] for record in records] == boxes.tolist()
    assert [record["score"] for record in records] == scores.tolist()
    masks = [rle.encode(mask) for mask in found["masks"][0, kept]]
    assert [record["segmentation"] for record in records] == masks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ((0, 64),)}, "--sizes must be one or more pairs HEIGHT WIDTH of positive"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"out": Path("link/../here.npz")}, "is read from; give another file"),
        ({"out": Path("names.json")}, "is read from; give another file"),
        ({"out": Path("folder")}, "is a folder; name a file in it"),
        ({"out": Path("here.npz/a.zip")}, r"here\.npz can be no folder"),
        ({"out": Path("a.ONNX"), "sizes": ((8, 8), (16, 16))}, "an ONNX file is for one size"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "here.npz").touch()
    arguments = export.WeightsArguments(
        init=InitConfig(checkpoint=tmp_path / "here.npz"),
        categories=tmp_path / "names.json",
        out=Path("new/a.zip"),
        sizes=((64, 64),),
        model=tiny.tiny_config(),
        input=make_config(),
    )
    with pytest.raises(InputError, match=message):
        export.check(dataclasses.replace(arguments, **changes))
    assert not (tmp_path / "new").exists()
    export.check(arguments)
    assert (tmp_path / "new").is_dir()


def test_bad_options_are_one_clear_message(fails, workdir, tmp_path):
    options = ("--workdir", workdir, "--out", tmp_path / "a.zip", "--sizes", 64, 64)
    assert "--batch-size must be at" in fails("export.py", *options, "--batch-size", 0)
    assert not list(tmp_path.iterdir())
