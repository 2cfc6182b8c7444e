import functools

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.images import resize_image
from maskrcnn_jax.exporting.resize import resize_images

# As outside of tests: only then are products and sums merged where the machine can.
OPTIMISED = {"xla_backend_optimization_level": 3}

BOTH_WAYS = [
    ((40, 64), (40, 64)),  # as it is
    ((47, 61), (80, 104)),  # larger
    ((60, 61), (80, 60)),  # larger and smaller
    ((1, 1), (30, 40)),
    ((3, 70), (4, 93)),
    ((90, 120), (60, 80)),  # smaller: many halves
    ((100, 75), (75, 56)),
    ((80, 131), (33, 54)),
    ((301, 97), (30, 10)),
    ((40, 50), (39, 50)),  # along one axis
    ((48, 64), (24, 32)),  # two by two become one
    ((60, 90), (20, 30)),
    ((60, 60), (30, 20)),
    ((50, 70), (1, 1)),
]


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize(("old", "new"), BOTH_WAYS)
def test_the_bits_are_opencvs(old, new):
    images = np.stack([noise(old, seed=1), noise(old, seed=2)])
    resize = jax.jit(functools.partial(resize_images, size=new), compiler_options=OPTIMISED)
    expected = [resize_image(image, new) for image in images]
    np.testing.assert_array_equal(resize(images), expected)


def test_extremes_stay_within_eight_bits():
    for grey in (0, 255):
        image = np.full((1, 37, 53, 3), grey, np.uint8)
        for size in ((50, 60), (20, 30)):
            resized = jax.jit(functools.partial(resize_images, size=size))(image)
            assert (np.asarray(resized) == grey).all()
