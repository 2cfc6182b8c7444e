"""The whole program as ONNX against the same in JAX, with the extra ``onnx``."""

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.exporting.onnx_file import write_onnx
from maskrcnn_jax.exporting.program import detection_program, flat_weights
from tests import tiny
from tests.exporting import tiny_export
from tests.exporting.tiny_export import BACKGROUND, IMAGE_SIZE, INPUT, images
from tests.test_variants import VARIANTS

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("jax2onnx")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # those of the converter
    pytest.mark.usefixtures("small_portions"),
]

MODELS = {"Mask R-CNN": tiny.tiny_config()} | VARIANTS
NOT_CONVERTED = ("RoIPool, Soft-NMS", "SOLOv2")
CATEGORIES = tuple(Category(id=i, name=name) for i, name in enumerate("abc", start=1))


def compare(path, model, weights):
    """Returns what both find in two images."""
    program = detection_program(model, INPUT, image_size=IMAGE_SIZE, mask_form="pasted")
    write_onnx(path, program, weights, image_size=IMAGE_SIZE, batch_size=2, categories=CATEGORIES)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["categories"] == '["a", "b", "c"]'
    names = [output.name for output in session.get_outputs()]
    given = images(2)
    found = dict(zip(names, session.run(None, {"images": given}), strict=True))
    return found, jax.device_get(jax.jit(program)(weights, given))


@pytest.mark.parametrize("name", [name for name in MODELS if name not in NOT_CONVERTED])
def test_onnxruntime_finds_the_same(name, tmp_path):
    model = MODELS[name]
    weights = flat_weights(tiny_export.variables_of(model))
    found, expected = compare(tmp_path / "tiny.onnx", model, weights)
    assert found.keys() == expected.keys()
    assert expected["valid"].sum() > 10
    for name in ("valid", "classes"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-3)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
    np.testing.assert_allclose(found["mask_scores"], expected["mask_scores"], atol=1e-5)
    assert (found["masks"] != expected["masks"]).mean() < 1e-4


@pytest.mark.parametrize("name", NOT_CONVERTED)
def test_what_is_not_converted_is_said(name, tmp_path):
    weights = flat_weights(tiny_export.variables_of(MODELS[name]))
    with pytest.raises(InputError, match="jax2onnx cannot convert this detector"):
        compare(tmp_path / "tiny.onnx", MODELS[name], weights)
    assert not (tmp_path / "tiny.onnx").exists()


def test_zero_detections(tmp_path):
    model = tiny.tiny_config()
    weights = flat_weights(tiny_export.variables_of(model))
    weights[BACKGROUND] = weights[BACKGROUND].at[-1].set(1e4)
    found, _ = compare(tmp_path / "nothing.onnx", model, weights)
    assert not any(values.any() for values in found.values())
