import dataclasses
import json
import zipfile

import cv2
import numpy as np
import pytest

import maskrcnn_jax
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.exporting.archive import write_archive
from maskrcnn_jax.exporting.exported import is_exported, load_exported
from maskrcnn_jax.exporting.program import detection_program, export_program, flat_weights
from tests import tiny
from tests.exporting import tiny_export
from tests.exporting.tiny_export import IMAGE_SIZE, INPUT, images

CATEGORIES = tuple(Category(id=10 * i, name=name) for i, name in enumerate("abc", start=1))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Two images at a time, masks as crops."""
    path = tmp_path_factory.mktemp("exported") / "tiny.zip"
    weights = flat_weights(tiny_export.variables_of(tiny.tiny_config()))
    program = detection_program(tiny.tiny_config(), INPUT, image_size=IMAGE_SIZE, mask_form="crops")
    exported = export_program(program, weights, image_size=IMAGE_SIZE, batch_size=2)
    write_archive(path, {IMAGE_SIZE: exported}, weights, categories=CATEGORIES)
    return path


@pytest.fixture(scope="module")
def detector(file):
    return load_exported(file)


def test_it_is_a_detector_like_others(file, detector, tmp_path):
    assert is_exported(file)
    assert detector.categories == ("a", "b", "c")
    [image] = images(1)
    found = detector(image)
    outputs = {name: x[0] for name, x in detector.run(image[None]).items()}
    kept = outputs["valid"]
    assert len(found) == kept.sum() > 0
    np.testing.assert_array_equal(found.boxes, outputs["boxes"][kept])
    np.testing.assert_array_equal(found.labels, outputs["classes"][kept])
    masks = np.stack([rle.decode(segmentation) for segmentation in found.segmentations])
    assert masks.shape == (len(found), *IMAGE_SIZE)
    assert masks.any()
    cv2.imwrite(str(tmp_path / "image.png"), image[..., ::-1])
    from_file = detector(tmp_path / "image.png")
    np.testing.assert_array_equal(from_file.boxes, found.boxes)
    assert from_file.segmentations == found.segmentations
    loaded = maskrcnn_jax.load(file)(image)
    np.testing.assert_array_equal(loaded.boxes, found.boxes)
    assert set(loaded.names) <= {"a", "b", "c"}
    assert np.asarray(loaded.masks).shape == masks.shape
    with pytest.raises(InputError, match="takes no config, categories or augmentation"):
        maskrcnn_jax.load(file, categories="names.json")


def test_it_is_no_file_of_weights(file):
    with pytest.raises(InputError, match=r"tiny\.zip: is a file of export\.py"):
        read_weights(file)


def test_memory_that_does_not_suffice_is_told(detector):
    def allocate(*_):
        raise MemoryError

    [(size, program)] = detector.programs.items()
    other = dataclasses.replace(detector, programs={size: program._replace(run=allocate)})
    with pytest.raises(InputError, match=r"not enough memory.* fewer images at once, or export"):
        other.run(images(2))


def test_the_description_says_what_is_in_it(file):
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        description = json.loads(archive.read("detector.json"))
    [program] = description["programs"]
    assert program["images"] == "uint8[2, 48, 61, 3]"
    assert program["outputs"]["masks"] == "float32[2, 10, 28, 28]"
    assert description["categories"][1] == {"id": 20, "name": "b"}


def test_an_image_of_another_size_is_refused(detector):
    with pytest.raises(InputError, match=r"the image is 48x60 .* for 48x61: .* --sizes 48 60"):
        detector(np.zeros((48, 60, 3), np.uint8))
    with pytest.raises(InputError, match=r"each image is 48x60 .* for 48x61"):
        detector.run(np.zeros((2, 48, 60, 3), np.uint8))
    with pytest.raises(InputError, match="3 images are more than the 2 it takes"):
        detector.run(images(3))
    with pytest.raises(InputError, match=r"none\.png"):
        detector("none.png")


def changed(file, path, **entries):
    """A copy in which entries (by the begin of their names) are others, or missing (None)."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = entries.get(name.split(".")[0].split("/")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"detector": None}, "has no entry 'detector.json'"),
        ({"weights": None}, "has no entry 'weights.npz'"),
        ({"programs": None}, "has no entry 'programs/48x61.jax'"),
        ({"programs": b"nonsense"}, "has a program that JAX .* cannot read"),
        ({"detector": b"{"}, "not valid JSON"),
        ({"detector": b"[]"}, "is no maskrcnn_jax detector, version 1"),
        ({"detector": b'{"format": "maskrcnn_jax detector, version 2"}'}, "export it again"),
        ({"detector": b'{"format": "maskrcnn_jax detector, version 1"}'}, "'categories'"),
        ({"weights": b"nonsense"}, "damaged zip file"),
    ],
)
def test_broken_files_are_named(file, tmp_path, entries, message):
    path = changed(file, tmp_path / "broken.zip", **entries)
    with pytest.raises(InputError, match=message) as error:
        load_exported(path)
    assert str(path) in str(error.value)


def test_other_files_are_no_exported_ones(tmp_path):
    (tmp_path / "text").write_text("text")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    for name in ("text", "other.zip", "none", "."):
        assert not is_exported(tmp_path / name)
