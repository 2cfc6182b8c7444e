"""Mutated annotation files and damaged images: a valid result or an ``InputError``, all else fails.

The seeds are the corpus. What is tried with each is said in ``fuzz_annotations`` and
``fuzz_images``, which can be run alone with other seeds.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax.data.coco_format import CocoFormatConfig
from maskrcnn_jax.data.images import read_image
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.problems import DataError, Kind
from maskrcnn_jax.errors import InputError
from tests.data import fuzz_annotations, fuzz_images
from tests.data.coco_files import write_json
from tests.data.odd_images import cmyk_jpeg, png, png_bomb, turned_jpeg
from tests.data.samples import make_config

ROOT = Path(__file__).resolve().parents[2]


def count(try_seed, folder, seeds):
    """How many of the seeds are accepted."""
    accepted = 0
    for seed in seeds:
        try:
            accepted += try_seed(folder, seed)
        except Exception as error:
            error.add_note(f"with seed {seed}")
            raise
    return accepted


@pytest.mark.parametrize("first", range(0, 1200, 200))
def test_mutated_annotation_files_are_read_whole_or_refused(tmp_path, first):
    fuzz_annotations.prepare(tmp_path)
    accepted = count(fuzz_annotations.try_seed, tmp_path, range(first, first + 200))
    assert 8 < accepted < 100  # neither branch is tested by few


@pytest.mark.parametrize("first", range(0, 600, 300))
def test_damaged_images_are_read_or_refused(tmp_path, first):
    readable = count(fuzz_images.try_seed, tmp_path, range(first, first + 300))
    assert 30 < readable < 200


@pytest.mark.parametrize("program", ["fuzz_annotations", "fuzz_images"])
def test_nothing_ends_or_stops_the_process(tmp_path, program):
    """Crashes of C code (pycocotools, OpenCV) and endless loops are seen from outside alone."""
    seeds = ("10000", "10400")
    command = [sys.executable, "-m", f"tests.data.{program}", str(tmp_path), *seeds]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, (result.stdout[-200:], result.stderr[-3000:])
    assert result.stdout.splitlines()[-1].endswith("of 400")


def test_odd_images_are_trained_on(tmp_path):
    """Each has an object that covers it."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    jpeg = fuzz_images.sound_images()["jpeg"]
    files = {
        "grey.png": (png(noise[..., 0], colour_type=0), (24, 32)),
        "bits.png": (png(noise[..., 0] & 1, colour_type=0, bits=1), (24, 32)),
        "alpha.png": (png(np.dstack([noise, noise[..., :1]]), colour_type=6), (24, 32)),
        "deep.png": (png(noise * np.uint16(257), colour_type=2, bits=16), (24, 32)),
        "cmyk.jpg": (cmyk_jpeg((0, 90, 255, 200), blocks=(3, 4)), (24, 32)),
        "turned.jpg": (turned_jpeg(jpeg, 6), (24, 32)),
        "no_jpeg.jpg": (png(noise, colour_type=2), (24, 32)),
        "dot.png": (png(noise[:1, :1], colour_type=2), (1, 1)),
        "long.png": (png(np.zeros((20000, 10)), colour_type=0), (20000, 10)),
        "wide.png": (png(np.zeros((10, 40000)), colour_type=0), (10, 40000)),
    }
    write_files(tmp_path, files)
    dataset = CocoFormatConfig(root=tmp_path, cache_dir=tmp_path / "cache").build("train")
    config = make_config(batch_size=len(files), short_sides=(32,))
    batches = train_batches(dataset, config, seed=0)
    seen = set()
    for batch in (next(batches), next(batches)):
        assert batch.valid.all()
        assert batch.ground_truth.valid.all()
        seen |= {int(index) for index in batch.indices}
    batches.close()
    assert seen == set(range(len(files)))


REFUSED = {
    "of zero bytes": (b"", (24, 32), Kind.UNREADABLE_IMAGE),
    "no image": (b"<html>not found</html>", (24, 32), Kind.UNREADABLE_IMAGE),
    "truncated": (fuzz_images.sound_images()["jpeg"][:-2], (24, 32), Kind.UNREADABLE_IMAGE),
    "annotated upright": (
        turned_jpeg(fuzz_images.sound_images()["jpeg"], 6),
        (32, 24),
        Kind.TURNED_IMAGE,
    ),
    "larger than it says": (png_bomb(2**14, 2**14), (24, 32), Kind.OTHER_IMAGE_SIZE),
    "a bomb": (png_bomb(2**14, 2**14 + 64), (2**14, 2**14 + 64), Kind.HUGE_IMAGE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_on_is_refused_at_once(tmp_path, name):
    encoded, size, kind = REFUSED[name]
    write_files(tmp_path, {"a.png": (encoded, size)})
    start = time.monotonic()
    with pytest.raises(DataError, match=r"image 0: ") as error:
        CocoFormatConfig(root=tmp_path, cache_dir=tmp_path / "cache").build("train")
    assert error.value.problem.kind is kind
    assert time.monotonic() - start < 2  # decoding the bomb takes longer, and 0.8 GB


def test_a_bomb_is_not_decoded_for_prediction_either(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_bomb(2**14, 2**14 + 64))
    with pytest.raises(InputError, match=r"bomb\.png: 16384x16448 pixels are more than can be rea"):
        read_image(tmp_path / "bomb.png")


def write_files(folder, files):
    """A data set of image files, given with the size that is annotated."""
    images, annotations = [], []
    for id, (name, (encoded, (height, width))) in enumerate(files.items()):
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / name).write_bytes(encoded)
        images.append({"id": id, "file_name": name, "height": height, "width": width})
        annotations.append(
            {
                "id": id,
                "image_id": id,
                "category_id": 1,
                "bbox": [0, 0, width, height],
                "area": height * width,
                "segmentation": [[0, 0, width, 0, width, height, 0, height]],
            }
        )
    categories = [{"id": 1, "name": "thing"}]
    write_json(folder, {"images": images, "annotations": annotations, "categories": categories})
