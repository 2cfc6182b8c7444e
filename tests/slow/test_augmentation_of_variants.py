"""Every RoI head, and compositions of mask heads, in test-time augmentation."""

import pytest

from tests import tiny
from tests.inference.test_augmentation import assert_single_view_is_plain
from tests.test_variants import VARIANTS

# Soft-NMS lowers scores again when it is done again; SOLOv2 has no boxes to put together.
OTHERS = ("RoIPool, Soft-NMS", "SOLOv2")
MODELS = {name: model for name, model in VARIANTS.items() if name not in OTHERS}
MODELS["boxes alone"] = tiny.without_masks(tiny.tiny_config())


@pytest.mark.parametrize("name", MODELS)
def test_one_view_gives_what_plain_prediction_gives(name):
    assert_single_view_is_plain(MODELS[name])
