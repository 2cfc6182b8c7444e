"""Every variant on one device does what it does on two."""

import jax
import numpy as np
import pytest

from tests.test_variants import BATCH, VARIANTS, train

pytestmark = pytest.mark.usefixtures("small_portions")


@pytest.mark.parametrize("name", VARIANTS)
def test_one_device_does_what_two_do(name):
    (one, metrics_of_one, _), (two, metrics_of_two, _) = (
        train(name, [BATCH] * 2, num_devices=count) for count in (1, 2)
    )
    for a, b in zip(metrics_of_one, metrics_of_two, strict=True):
        assert a.keys() == b.keys()
        for metric in a:
            np.testing.assert_allclose(a[metric], b[metric], rtol=1e-3, err_msg=metric)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(a).max()),
        *(one.params, two.params),
    )
