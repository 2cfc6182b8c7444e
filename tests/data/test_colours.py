import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskrcnn_jax.data.colours import ColourJitterConfig, change_colours
from maskrcnn_jax.errors import InputError

IMAGES = arrays(np.uint8, (5, 4, 3))
FACTORS = st.floats(0, 2)


def grey_of(pixel):
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def blend(pixels, origins, factor):
    """torchvision's ``_blend``, pixel by pixel."""
    return [
        [min(max(factor * value + (1 - factor) * origin, 0), 255) for value in pixel]
        for pixel, origin in zip(pixels, origins, strict=True)
    ]


def slowly(image, brightness, contrast, saturation):
    pixels = blend(image.reshape(-1, 3).tolist(), [0] * 20, brightness)
    mean = sum(map(grey_of, pixels)) / len(pixels)
    pixels = blend(pixels, [mean] * 20, contrast)
    return np.reshape(blend(pixels, list(map(grey_of, pixels)), saturation), image.shape)


@settings(max_examples=50)
@given(IMAGES, FACTORS, FACTORS, FACTORS)
def test_it_equals_the_slow_loop(image, brightness, contrast, saturation):
    changed = change_colours(image, brightness=brightness, contrast=contrast, saturation=saturation)
    assert changed.dtype == np.uint8
    expected = slowly(image, brightness, contrast, saturation)
    np.testing.assert_allclose(changed, expected, atol=0.5 + 1e-3)


@settings(max_examples=20)
@given(IMAGES)
def test_factors_of_1_change_nothing_and_of_0_take_everything(image):
    factors = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0}
    np.testing.assert_array_equal(change_colours(image, **factors), image)
    assert not change_colours(image, **factors | {"brightness": 0.0}).any()
    assert np.ptp(change_colours(image, **factors | {"contrast": 0.0})) == 0
    assert np.ptp(change_colours(image, **factors | {"saturation": 0.0}), axis=-1).max() == 0


def test_without_strengths_the_image_is_itself_and_nothing_is_drawn():
    rng, image = np.random.default_rng(0), np.zeros((2, 2, 3), np.uint8)
    assert ColourJitterConfig().apply(image, rng) is image
    assert rng.random() == np.random.default_rng(0).random()


def test_factors_are_drawn_evenly_within_the_strength():
    """Seen in brightness: of a constant image, where nothing is cut off."""
    rng, image = np.random.default_rng(0), np.full((1, 1, 3), 100, np.uint8)
    config = ColourJitterConfig(brightness=0.4)
    drawn = [config.apply(image, rng)[0, 0, 0] for _ in range(4000)]
    quartiles = np.quantile(drawn, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quartiles, [60, 80, 100, 120, 140], atol=2)
    strong = ColourJitterConfig(brightness=1.5)
    assert min(strong.apply(image, rng).min() for _ in range(100)) >= 0


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(InputError, match=rf"^colour\.{name} must be at least 0, not "):
        ColourJitterConfig(**{name: value})
