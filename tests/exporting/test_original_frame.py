import functools

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.rle import encode
from maskrcnn_jax.evaluation import results
from maskrcnn_jax.evaluation.rle import encode_pasted
from maskrcnn_jax.exporting.original_frame import in_original_frame
from maskrcnn_jax.structures import Detections

OPTIMISED = {"xla_backend_optimization_level": 3}  # as outside of tests; see test_resize
RESIZED, ORIGINAL = (64, 91), (97, 138)
NUM = 40


def detections(*, side=14, seed=0):
    """Some reach out of the image, some have no area in it, some are not valid and garbage."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-20, 80, (NUM, 2))
    boxes = np.concatenate([low, low + rng.uniform(-1, 50, (NUM, 2))], axis=1).astype(np.float32)
    valid = rng.random(NUM) < 0.8
    boxes[~valid] = rng.choice([np.nan, np.inf, 1e30], boxes[~valid].shape)
    masks = rng.random((NUM, side, side + 2 * (side > 0))).astype(np.float32)
    masks[:5] = 1
    masks[20:] = 0.5 + rng.integers(-4, 5, masks[20:].shape) * 2.0**-25  # the last bit decides
    return Detections(
        boxes=boxes,
        scores=rng.random(NUM, np.float32),
        labels=rng.integers(0, 5, NUM),
        masks=masks,
        mask_frames=boxes + np.float32(0.3),
        mask_scores=rng.random(NUM, np.float32),
        valid=valid,
    )


def outputs(found, *, paste="exact", mask_form="pasted"):
    convert = functools.partial(
        in_original_frame, resized=RESIZED, original=ORIGINAL, paste=paste, mask_form=mask_form
    )
    return jax.device_get(jax.jit(convert, compiler_options=OPTIMISED)(found))


@pytest.mark.parametrize("paste", ["exact", "whole_pixels"])
def test_the_bits_are_those_of_the_host(paste):
    given = detections()
    expected = results.in_original_frame(given, resized=RESIZED, original=ORIGINAL, paste=paste)
    found = outputs(given, paste=paste)
    kept = found["valid"]
    assert 10 < kept.sum() == len(expected) < given.valid.sum()
    np.testing.assert_array_equal(found["boxes"][kept], expected.boxes)
    np.testing.assert_array_equal(found["scores"][kept], expected.scores)
    np.testing.assert_array_equal(found["mask_scores"][kept], expected.mask_scores)
    np.testing.assert_array_equal(found["classes"][kept], expected.labels)
    assert [encode(mask) for mask in found["masks"][kept]] == expected.segmentations


def test_what_is_not_valid_is_zeros():
    for mask_form in ("pasted", "crops"):
        found = outputs(detections(), mask_form=mask_form)
        for name, values in found.items():
            assert not values[~found["valid"]].any(), name


@pytest.mark.parametrize("paste", ["exact", "whole_pixels"])
def test_crops_can_be_pasted_by_the_reader(paste):
    pasted = outputs(detections(), paste=paste)
    crops = outputs(detections(), paste=paste, mask_form="crops")
    height, width = ORIGINAL
    for mask, crop, frame in zip(
        *(pasted["masks"], crops["masks"], crops["mask_frames"]), strict=True
    ):
        if crop.any():
            encoded = encode_pasted(crop, frame, height=height, width=width)
            assert encoded == encode(mask)


def test_a_detector_without_masks_has_no_outputs_for_them():
    assert outputs(detections(side=0)).keys() == {"boxes", "scores", "classes", "valid"}
