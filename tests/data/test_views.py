import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.views import (
    LargeScaleJitterConfig,
    RandomCropConfig,
    View,
    Views,
    cut_to_fit,
    jittered,
    whole_windows,
    window_sizes,
)
from maskrcnn_jax.errors import InputError

SIDES = st.integers(1, 700)
SIZES = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=8).map(np.array)
SEEDS = st.integers(0, 2**32)


def are_inside(windows, outer):
    return (
        (windows[:, :2] >= outer[:, :2]).all()
        and (windows[:, 2:] <= outer[:, 2:]).all()
        and (windows[:, 2:] > windows[:, :2]).all()
    )


def quartiles(values):
    """Of each column."""
    return np.quantile(values, [0.25, 0.5, 0.75], axis=0).T


def test_a_view_is_taken_out_of_many():
    views = Views(
        indices=np.array([4, 9]),
        windows=np.arange(8).reshape(2, 4),
        sizes=np.array([[1, 2], [3, 4]]),
        canvases=np.array([[5, 6], [7, 8]]),
        flips=np.array([False, True]),
    )
    expected = View(index=9, window=(4, 5, 6, 7), size=(3, 4), canvas=(7, 8), flip=True)
    assert views[1] == expected
    assert {type(value) for value in dataclasses.astuple(views[1])} == {int, tuple, bool}


# ---- random crop ---------------------------------------------------------------------------------


@given(SIZES, SEEDS, st.floats(0, 1), st.floats(0.01, 1))
def test_a_crop_is_inside_the_image_and_not_too_small(sizes, seed, probability, min_share):
    config = RandomCropConfig(probability=probability, min_share=min_share)
    windows = config.draw(sizes, np.random.default_rng(seed))
    assert are_inside(windows, whole_windows(sizes))
    assert (window_sizes(windows) >= config.smallest_sides(sizes)).all()
    assert (config.smallest_sides(sizes) >= min_share * sizes - 0.5).all()


def test_without_crop_nothing_is_cut_or_drawn():
    rng = np.random.default_rng(0)
    sizes = np.array([[30, 40], [7, 5]])
    windows = RandomCropConfig(min_share=0.1).draw(sizes, rng)
    np.testing.assert_array_equal(windows, [[0, 0, 40, 30], [0, 0, 5, 7]])
    assert rng.random() == np.random.default_rng(0).random()


def test_crops_are_spread_evenly():
    """Over sides from the share to the whole, each by itself, and over all places."""
    sizes = np.tile([300, 200], (20_000, 1))
    config = RandomCropConfig(probability=0.25, min_share=0.5)
    windows = config.draw(sizes, np.random.default_rng(0))
    is_cut = (window_sizes(windows) < sizes).any(-1)
    assert is_cut.mean() == pytest.approx(0.25, abs=0.01)
    cut = windows[is_cut]
    shares = window_sizes(cut) / sizes[is_cut]
    np.testing.assert_allclose(quartiles(shares), [[0.625, 0.75, 0.875]] * 2, atol=0.02)
    assert abs(np.corrcoef(shares.T)[0, 1]) < 0.05
    room = sizes[is_cut][:, ::-1] - (cut[:, 2:] - cut[:, :2])
    places = cut[:, :2] / np.maximum(room, 1)
    np.testing.assert_allclose(places.mean(0), 0.5, atol=0.02)
    assert (places == 0).any()
    assert (places == 1).any()


# ---- large-scale jitter --------------------------------------------------------------------------


def resize_scale(size, target, scale):
    """Detectron2's ``ResizeScale``, for one image."""
    zoom = min(target[0] * scale / size[0], target[1] * scale / size[1])
    return tuple(int(np.round(side * zoom)) for side in size)


@given(SIZES, st.floats(0.05, 3), st.tuples(st.integers(32, 300), st.integers(32, 300)), SEEDS)
def test_a_jittered_image_is_resized_and_then_cut(sizes, scale, target, seed):
    windows, resized = jittered(
        whole_windows(sizes), scales=(scale, scale), size=target, rng=np.random.default_rng(seed)
    )
    assert are_inside(windows, whole_windows(sizes))
    for original, window, size in zip(sizes, window_sizes(windows), resized, strict=True):
        wanted = np.maximum(resize_scale(original, target, scale), 1)
        np.testing.assert_array_equal(size, np.minimum(wanted, target))
        # What is cut out has the scale of the image, to half a pixel of the original.
        part = np.where(wanted > target, original * target / wanted, original)
        np.testing.assert_allclose(window, np.maximum(part, 1), atol=0.5)


def test_scales_are_drawn_evenly_and_cuts_are_everywhere():
    sizes = np.tile([400, 400], (20_000, 1))
    windows, resized = jittered(
        whole_windows(sizes), scales=(0.1, 2.0), size=(256, 256), rng=np.random.default_rng(0)
    )
    is_cut = window_sizes(windows)[:, 0] < 400
    assert is_cut.mean() == pytest.approx(1 / 1.9, abs=0.01)
    shares = resized[~is_cut, 0] / 256
    np.testing.assert_allclose(np.quantile(shares, [0, 0.5, 1]), [0.1, 0.55, 1], atol=0.01)
    assert window_sizes(windows).min() == pytest.approx(200, abs=1)
    room = 400 - window_sizes(windows[is_cut])
    places = windows[is_cut, :2] / room
    np.testing.assert_allclose(quartiles(places), [[0.25, 0.5, 0.75]] * 2, atol=0.03)
    assert abs(np.corrcoef(places.T)[0, 1]) < 0.05


# ---- cut to fit ----------------------------------------------------------------------------------


@given(SIZES, SEEDS, st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_only_what_does_not_fit_is_cut(sizes, seed, limits):
    windows, resized = cut_to_fit(
        whole_windows(sizes), sizes, limits=np.array(limits), rng=np.random.default_rng(seed)
    )
    assert are_inside(windows, whole_windows(sizes))
    np.testing.assert_array_equal(resized, np.minimum(sizes, limits))
    np.testing.assert_array_equal(window_sizes(windows), resized)  # at scale 1


# ---- configs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: RandomCropConfig(probability=-0.1), "crop.probability"),
        (lambda: RandomCropConfig(probability=1.1), "crop.probability"),
        (lambda: RandomCropConfig(min_share=0), "crop.min_share"),
        (lambda: RandomCropConfig(min_share=1.1), "crop.min_share"),
        (lambda: LargeScaleJitterConfig(scales=(0.0, 1.0)), "jitter.scales"),
        (lambda: LargeScaleJitterConfig(scales=(2.0, 0.1)), "jitter.scales"),
        (lambda: LargeScaleJitterConfig(scales=(0.1, float("inf"))), "jitter.scales"),
        (lambda: LargeScaleJitterConfig(scales=(float("nan"), 1.0)), "jitter.scales"),
        (lambda: LargeScaleJitterConfig(size=(1000, 1024)), "jitter.size"),
        (lambda: LargeScaleJitterConfig(size=(0, 1024)), "jitter.size"),
    ],
)
def test_a_wrong_value_is_named(make, name):
    with pytest.raises(InputError, match=f"^{name} must be .*not "):
        make()
