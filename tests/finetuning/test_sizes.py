import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.sizes import fit_sizes
from maskrcnn_jax.finetuning.sizes import sizes_for

SIDES = st.integers(1, 5000)
IMAGES = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=20).map(np.array)
OBJECTS = st.lists(st.floats(1, 2000), min_size=1, max_size=20).map(np.array)


def of(*images, objects=(100.0,)):
    return sizes_for(np.array(images), np.array(objects))


@given(IMAGES, OBJECTS, IMAGES)
def test_every_image_fits_also_of_other_data(images, objects, others):
    sizes = sizes_for(images, objects)
    for short_side in (*sizes.short_sides, sizes.eval_short_side):
        for originals in (images, others):
            resized, places = fit_sizes(
                originals,
                names=[""] * len(originals),
                short_side=short_side,
                long_side=sizes.long_side,
                padded_sizes=sizes.padded_sizes,
            )
            assert (resized >= 1).all()
            assert (resized <= np.array(sizes.padded_sizes)[places]).all()


@given(IMAGES, OBJECTS)
def test_no_padded_size_is_larger_than_it_must_be(images, objects):
    sizes = sizes_for(images, objects)
    longest = (max(images.max(-1) / images.min(-1))) * sizes.eval_short_side
    assert max(sizes.short_sides) == sizes.eval_short_side
    for size in sizes.padded_sizes:
        assert sizes.eval_short_side <= min(size) < sizes.eval_short_side + 32
        assert max(size) == sizes.long_side < longest + 32
        assert all(side % 32 == 0 for side in size)


@given(IMAGES, OBJECTS)
def test_images_are_enlarged_at_most_twice_but_for_tiny_ones(images, objects):
    side = sizes_for(images, objects).eval_short_side
    assert 256 <= side <= 800
    assert side <= max(256, 2 * np.median(images.min(-1)) + 16)


@pytest.mark.parametrize(
    ("image", "typical_object", "side"),
    [
        ((400, 500), 120, 416),  # its own size, to a multiple of 32
        ((400, 500), 32, 416),
        ((400, 500), 20, 640),  # objects become 32 pixels large
        ((400, 500), 5, 800),  # twice
        ((1500, 2000), 120, 800),  # as large as detectors are trained
        ((60, 60), 30, 256),
    ],
)
def test_images_keep_their_size_unless_objects_are_small(image, typical_object, side):
    assert of(image, objects=[typical_object]).eval_short_side == side


def test_there_is_one_padded_size_for_each_orientation():
    assert of((400, 600), (600, 400)).padded_sizes == ((416, 640), (640, 416))
    assert of((512, 512), (512, 512)).padded_sizes == ((512, 512),)


def test_one_long_image_does_not_pad_all_others():
    sizes = of(*[(400, 500)] * 39, (400, 4000))
    assert sizes.padded_sizes[0] == (416, 544)
    assert sizes.share_longer == 1 / 40
    assert "2% of the images" in sizes.reasons()["input.long_side"]


def test_no_image_becomes_longer_than_those_of_the_detectors_that_weights_come_from():
    panoramas = of((1000, 6000), (1000, 6000))
    assert panoramas.padded_sizes == ((800, 1344), (1344, 800))
    assert panoramas.share_longer == 1


def test_the_rest_follows_from_short_sides_that_are_given():
    sizes = sizes_for(np.array([(400, 600)]), np.array([50.0]), short_sides=(200, 300))
    assert (sizes.short_sides, sizes.eval_short_side) == ((200, 300), 300)
    assert sizes.padded_sizes == ((320, 480), (480, 320))
    assert sizes.object_side == pytest.approx(50 * 300 / 400)


def test_objects_that_are_hardly_found_are_warned_of():
    assert of((2000, 2000), objects=[100]).warnings() == ()
    (warning,) = of((2000, 2000), objects=[20, 20, 900]).warnings()
    assert "smaller than 8 x 8 pixels" in warning


def test_the_reason_tells_whether_images_change_their_size():
    def reason(image, side):
        return of(image, objects=[side]).reasons()["input.short_sides"]

    assert reason((400, 500), 120).startswith("about the size that the images have; ")
    assert "for their objects" in reason((400, 500), 20)
    assert "as detectors are trained" in reason((1600, 2000), 120)
    assert "the least" in reason((60, 60), 30)
