import pytest

from maskrcnn_jax.data.image_views import NO_AUGMENTATION, AugmentationConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.inference.options import TTAOptions


def test_augmentation_is_off_until_it_is_asked_for():
    other = AugmentationConfig(scales=(1.0, 2.0))
    assert TTAOptions().chosen == NO_AUGMENTATION
    assert TTAOptions(tta=True).chosen == AugmentationConfig()
    assert TTAOptions(tta=True, augmentation=other).chosen == other
    with pytest.raises(InputError, match="no part without --tta True"):
        TTAOptions(augmentation=other)
