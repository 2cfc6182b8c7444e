import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.sizes import fit_sizes, resized_sizes
from maskrcnn_jax.errors import InputError

SIDES = st.integers(1, 5000)


def resized_one(size, *, short_side, long_side):
    """The rule as Detectron2 documents it, for one image, in plain floats."""
    height, width = size
    scale = short_side / min(height, width)
    if height < width:
        new_height, new_width = short_side, scale * width
    else:
        new_height, new_width = scale * height, short_side
    if max(new_height, new_width) > long_side:
        scale = long_side / max(new_height, new_width)
        new_height, new_width = new_height * scale, new_width * scale
    return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1), st.integers(1, 1000), st.integers(1, 1500))
def test_sizes_equal_the_rule_for_one_image(sizes, short_side, long_side):
    resized = resized_sizes(np.array(sizes), short_side=short_side, long_side=long_side)
    expected = [resized_one(size, short_side=short_side, long_side=long_side) for size in sizes]
    np.testing.assert_array_equal(resized, expected)


@pytest.mark.parametrize(
    ("size", "resized"),
    [((480, 640), (800, 1067)), ((640, 480), (1067, 800)), ((375, 1242), (402, 1333))],
)
def test_coco_sizes(size, resized):
    assert tuple(resized_sizes(np.array(size), short_side=800, long_side=1333)) == resized


def fit_one(size, padded_sizes):
    return fit_sizes(
        np.array([size]), names=["a.jpg"], short_side=64, long_side=160, padded_sizes=padded_sizes
    )


def test_the_smallest_padded_size_that_holds_the_image_is_taken():
    padded_sizes = ((160, 160), (64, 128), (128, 64), (96, 96), (128, 64))
    sizes, places = fit_one((64, 100), padded_sizes)
    assert sizes.tolist() == [[64, 100]]
    assert places.tolist() == [1]
    assert fit_one((64, 64), padded_sizes)[1].tolist() == [1]  # three of one area hold it
    assert fit_one((100, 64), padded_sizes)[1].tolist() == [2]
    assert fit_one((64, 129), padded_sizes)[1].tolist() == [0]


def test_an_image_that_fits_nowhere_is_named_with_the_size_it_needs():
    with pytest.raises(InputError, match=r"a\.jpg.* 300x200 .*becomes 96x64.*64x96.*Add 96x64"):
        fit_one((300, 200), ((64, 96), (64, 64)))
