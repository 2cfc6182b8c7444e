"""The whole program as ONNX against the same in JAX: about two minutes, with the extra ``onnx``."""

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.exporting.onnx_file import write_onnx
from maskrcnn_jax.exporting.program import detection_program, flat_weights
from maskrcnn_jax.roi.mask import portions
from tests import tiny
from tests.exporting import tiny_export
from tests.exporting.tiny_export import BACKGROUND, IMAGE_SIZE, INPUT, images

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("jax2onnx")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of the converter

CATEGORIES = tuple(Category(id=i, name=name) for i, name in enumerate("abc", start=1))


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch):
    """So that the mask head divides the ten detections that there are."""
    monkeypatch.setattr(portions, "_PLACES", 4)


def compare(path, weights):
    """Returns what both find in two images."""
    model = tiny.tiny_config()
    program = detection_program(model, INPUT, image_size=IMAGE_SIZE, mask_form="pasted")
    write_onnx(path, program, weights, image_size=IMAGE_SIZE, batch_size=2, categories=CATEGORIES)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["categories"] == '["a", "b", "c"]'
    names = [output.name for output in session.get_outputs()]
    given = images(2)
    found = dict(zip(names, session.run(None, {"images": given}), strict=True))
    return found, jax.device_get(jax.jit(program)(weights, given))


def test_onnxruntime_finds_the_same(tmp_path):
    weights = flat_weights(tiny_export.variables_of(tiny.tiny_config()))
    found, expected = compare(tmp_path / "tiny.onnx", weights)
    assert found.keys() == expected.keys()
    assert expected["valid"].sum() > 10
    for name in ("valid", "classes"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-3)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
    assert (found["masks"] != expected["masks"]).mean() < 1e-4


def test_zero_detections(tmp_path):
    weights = flat_weights(tiny_export.variables_of(tiny.tiny_config()))
    weights[BACKGROUND] = weights[BACKGROUND].at[-1].set(1e4)
    found, _ = compare(tmp_path / "nothing.onnx", weights)
    assert not any(values.any() for values in found.values())
