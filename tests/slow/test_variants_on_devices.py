"""Every variant on one device does what it does on two."""

import numpy as np
import pytest

from tests.test_variants import BATCH, VARIANTS, train


@pytest.mark.parametrize("name", VARIANTS)
def test_one_device_does_what_two_do(name):
    one, two = (train(name, [BATCH] * 2, num_devices=count)[1] for count in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for metric in a:
            np.testing.assert_allclose(a[metric], b[metric], rtol=1e-3, err_msg=metric)
