import numpy as np
import pytest

from maskrcnn_jax.data.image_views import (
    NO_AUGMENTATION,
    AugmentationConfig,
    filling_views,
    fitting_size,
    mirrored,
    views,
)
from maskrcnn_jax.data.images import resize_image
from maskrcnn_jax.data.sizes import resized_sizes
from maskrcnn_jax.errors import InputError
from tests.data.samples import make_config

CONFIG = make_config(eval_short_side=30, long_side=50, padded_sizes=((32, 64), (64, 32)))
LIKE_DETECTRON2 = make_config(
    eval_short_side=800, long_side=1333, padded_sizes=((800, 1344), (1344, 800))
)


def noise(*size):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def views_of(image, augmentation=NO_AUGMENTATION, config=CONFIG):
    padded_size = fitting_size(image, config, name="mine.jpg")
    return views(image, config, augmentation, padded_size=padded_size, index=5)


def test_without_augmentation_there_is_the_image_sized_like_those_of_an_evaluation():
    image = noise(48, 80)
    [view] = views_of(image)
    assert view.images.shape == (32, 64, 3)
    assert view.sizes.tolist() == [30, 50]
    np.testing.assert_array_equal(view.images[:30, :50], resize_image(image, (30, 50)))
    assert not view.images[30:].any()
    assert view.indices == 5
    assert view.valid


def test_the_default_has_the_short_sides_of_detectron2():
    """400, 500, ... 1200, and the long sides that belong to them, to the pixel."""
    image = np.zeros((427, 640, 3), np.uint8)
    seen = views_of(image, AugmentationConfig(), LIKE_DETECTRON2)
    sides = np.repeat(np.arange(400, 1201, 100), 2)
    expected = [
        resized_sizes(np.array([427, 640]), short_side=int(side), long_side=4000).tolist()
        for side in sides
    ]
    assert [view.sizes.tolist() for view in seen] == expected
    assert AugmentationConfig().flips == (False, True) * 9


@pytest.mark.parametrize("size", [(30, 50), (51, 83), (7, 90), (90, 7), (1, 1), (33, 55)])
def test_every_view_fits_and_keeps_its_padded_size(size):
    """Whatever is rounded how; so images of one batch stay together."""
    augmentation = AugmentationConfig(scales=(0.3, 0.55, 1.0, 1.37, 2.0), flip=True)
    image = noise(*size)
    filling = filling_views(fitting_size(image, CONFIG, name=""), augmentation)
    for view, other in zip(views_of(image, augmentation), filling, strict=True):
        assert view.images.shape == other.images.shape
        assert not other.valid
        height, width = view.sizes.tolist()
        assert 1 <= height <= view.images.shape[0]
        assert 1 <= width <= view.images.shape[1]
        assert not view.images[height:].any()
        assert not view.images[:, width:].any()


def test_mirroring_turns_the_image_and_leaves_the_padding():
    plain, turned = views_of(noise(48, 70), AugmentationConfig(scales=(1.0,), flip=True))
    height, width = plain.sizes.tolist()
    np.testing.assert_array_equal(
        turned.images[:height, :width], plain.images[:height, :width][:, ::-1]
    )
    assert not turned.images[:, width:].any()
    np.testing.assert_array_equal(mirrored(turned).images, plain.images)
    assert turned.sizes.tolist() == plain.sizes.tolist()


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"mine\.jpg.*64x64"):
        views_of(noise(80, 80), config=make_config(eval_short_side=60))
    for scales in [(), (0.0,), (float("inf"), 1.0)]:
        with pytest.raises(InputError, match=r"augmentation\.scales must be positive"):
            AugmentationConfig(scales=scales)
