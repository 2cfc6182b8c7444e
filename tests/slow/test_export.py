"""Every kind of detector, exported, finds what predict.py finds, to the last bit, as compiled
outside of tests: about fifteen minutes.
"""

import dataclasses

import jax
import jax.export
import numpy as np
import pytest

from maskrcnn_jax.data import rle
from maskrcnn_jax.exporting.program import detection_program, export_program, flat_weights
from tests import tiny
from tests.exporting import tiny_export
from tests.exporting.tiny_export import INPUT, images
from tests.test_variants import VARIANTS

pytestmark = pytest.mark.usefixtures("small_portions")

OPTIMISED = {"xla_backend_optimization_level": 3}
BASE = tiny.tiny_config()
MODELS = {
    "Mask R-CNN": BASE,
    "masks in whole pixels": dataclasses.replace(BASE, paste="whole_pixels"),
    "bfloat16": dataclasses.replace(BASE, precision="bfloat16"),
    "Faster R-CNN": tiny.without_masks(BASE),
} | VARIANTS


@pytest.mark.parametrize("size", [(48, 61), (150, 100)], ids=["enlarged", "shrunk"])
@pytest.mark.parametrize("name", MODELS)
def test_the_bits_are_those_of_predict(name, size):
    model = MODELS[name]
    variables = tiny_export.variables_of(model)
    weights = flat_weights(variables)
    program = detection_program(model, INPUT, image_size=size, mask_form="pasted")
    exported = export_program(program, weights, image_size=size, batch_size=None)
    call = jax.export.deserialize(exported.serialize()).call
    detect = jax.jit(call, compiler_options=OPTIMISED)
    [image] = images(1, size=size)
    found = {key: x[0] for key, x in jax.device_get(detect(weights, image[None])).items()}
    expected = tiny_export.predicted(model, variables, image, compiler_options=OPTIMISED)

    kept = found["valid"]
    assert kept.sum() == len(expected) > 0
    np.testing.assert_array_equal(found["boxes"][kept], expected.boxes)
    np.testing.assert_array_equal(found["scores"][kept], expected.scores)
    np.testing.assert_array_equal(found["classes"][kept], expected.labels)
    if model.has_masks:
        np.testing.assert_array_equal(found["mask_scores"][kept], expected.mask_scores)
        assert [rle.encode(mask) for mask in found["masks"][kept]] == expected.segmentations
