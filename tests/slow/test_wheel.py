"""The package is built, installed by itself and used away from the repository.

Needs the package index: about two minutes.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import maskrcnn_jax
from tests import tiny
from tests.saved_runs import save_run

ROOT = Path(__file__).resolve().parents[2]

PREDICT = """
import maskrcnn_jax
detector = maskrcnn_jax.load("run")
print(len(detector("image.png")))
"""


def run(*command, cwd):
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the source distribution, which so has all that it needs."""
    folder = tmp_path_factory.mktemp("dist")
    python = new_environment(folder, "build")
    run(python, "-m", "build", "--outdir", folder, cwd=ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with nothing but the wheel and what it asks for."""
    return new_environment(tmp_path_factory.mktemp("installed"), wheel)


def new_environment(folder, package):
    run(sys.executable, "-m", "venv", "venv", cwd=folder)
    python = folder / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", package, cwd=folder)
    return python


def test_the_wheel_has_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "maskrcnn_jax").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert names == files


def test_every_module_can_be_imported_without_the_repository(python, tmp_path):
    program = f"""
import importlib, pkgutil, maskrcnn_jax
assert maskrcnn_jax.__version__ == {maskrcnn_jax.__version__!r}
assert "site-packages" in maskrcnn_jax.__file__, maskrcnn_jax.__file__
names = [module.name for module in pkgutil.walk_packages(maskrcnn_jax.__path__, "maskrcnn_jax.")]
print(len([importlib.import_module(name) for name in names]))
"""
    output = run(
        python, "-W", "error::DeprecationWarning:maskrcnn_jax", "-c", program, cwd=tmp_path
    )
    files = list((ROOT / "maskrcnn_jax").rglob("*.py"))
    assert int(output) == len(files) - 1  # all but the package's own


def test_the_commands_run_without_the_repository(python, tmp_path):
    shapes = ("maskrcnn_jax.data.shapes", "--out", "images", "--num-images", "2")
    run(python, "-m", *shapes, cwd=tmp_path)
    report = run(python, "-m", "maskrcnn_jax.data.check", "images", "--split", "val", cwd=tmp_path)
    assert "2 images" in report
    run(python, "-m", "maskrcnn_jax.convert", "--help", cwd=tmp_path)


def test_a_detector_is_loaded_and_called_in_three_lines(python, tmp_path):
    save_run(tmp_path / "run", tiny.tiny_config())
    pixels = np.asarray(tiny.random_batch(0).images[0])
    cv2.imwrite(str(tmp_path / "image.png"), pixels)
    assert int(run(python, "-c", PREDICT, cwd=tmp_path)) > 0
