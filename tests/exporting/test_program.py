import dataclasses

import jax
import jax.export
import numpy as np
import pytest

from maskrcnn_jax.data import rle
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.exporting.program import (
    PLATFORMS,
    detection_program,
    export_program,
    flat_weights,
    sizes_in_network,
)
from tests import tiny
from tests.exporting import tiny_export
from tests.exporting.tiny_export import IMAGE_SIZE, INPUT, images
from tests.solo.models import tiny_solov2

MODEL = tiny.tiny_config()


def exported(model, weights, *, batch_size=None, mask_form="pasted"):
    program = detection_program(model, INPUT, image_size=IMAGE_SIZE, mask_form=mask_form)
    return export_program(program, weights, image_size=IMAGE_SIZE, batch_size=batch_size)


@pytest.fixture(scope="module")
def weights():
    return flat_weights(tiny_export.variables_of(MODEL))


@pytest.fixture(scope="module")
def detect(weights):
    """The program, written and read again."""
    content = exported(MODEL, weights).serialize()
    return jax.jit(jax.export.deserialize(content).call)


def test_the_bits_are_those_of_predict(detect, weights):
    [image] = images(1)
    expected = tiny_export.predicted(MODEL, tiny_export.variables_of(MODEL), image)
    found = {name: x[0] for name, x in jax.device_get(detect(weights, image[None])).items()}
    kept = found["valid"]
    assert kept.sum() == len(expected) > 0
    np.testing.assert_array_equal(found["boxes"][kept], expected.boxes)
    np.testing.assert_array_equal(found["scores"][kept], expected.scores)
    np.testing.assert_array_equal(found["classes"][kept], expected.labels)
    assert [rle.encode(mask) for mask in found["masks"][kept]] == expected.segmentations


def test_any_number_of_images(detect, weights):
    """None of which has a part in what is found in another."""
    three = images(3)
    together = jax.device_get(detect(weights, three))
    for index, image in enumerate(three):
        alone = jax.device_get(detect(weights, image[None]))
        for name in ("valid", "classes"):
            np.testing.assert_array_equal(alone[name][0], together[name][index])
        np.testing.assert_allclose(alone["boxes"][0], together["boxes"][index], atol=1e-3)


def test_zero_detections(detect, weights):
    bias = weights[tiny_export.BACKGROUND]
    nothing = weights | {tiny_export.BACKGROUND: bias.at[-1].set(1e4)}
    found = jax.device_get(detect(nothing, images(1)))
    assert not any(values.any() for values in found.values())
    assert found["masks"].shape == (1, 10, *IMAGE_SIZE)


def test_it_is_lowered_for_all_platforms(weights):
    program = exported(MODEL, weights, batch_size=2, mask_form="crops")
    assert program.platforms == PLATFORMS == ("cpu", "cuda", "tpu")
    assert program.in_avals[-1].shape == (2, *IMAGE_SIZE, 3)
    shapes = {x.shape for x in program.out_avals}
    assert shapes == {(2, 10), (2, 10, 4), (2, 10, 28, 28)}


@pytest.mark.parametrize(
    "model",
    [
        dataclasses.replace(MODEL, roi=dataclasses.replace(MODEL.roi, mask=tiny.point_rend())),
        tiny_solov2(),
    ],
    ids=["PointRend", "SOLOv2"],
)
def test_other_detectors_take_any_number_of_images_too(model):
    variables = tiny_export.variables_of(model)
    program = exported(model, flat_weights(variables))
    assert str(program.in_avals[-1].shape[0]) == "b"
    assert len(program.out_avals) == 6
    assert len(program.serialize()) < 400_000


def test_sizes_are_those_of_prediction():
    assert sizes_in_network(INPUT, IMAGE_SIZE) == ((64, 81), (64, 96))
    assert sizes_in_network(INPUT, (200, 100)) == ((96, 48), (96, 64))
    with pytest.raises(InputError, match=r"--sizes 10 10: .* becomes 64x64, which none"):
        sizes_in_network(dataclasses.replace(INPUT, padded_sizes=((32, 96),)), (10, 10))
