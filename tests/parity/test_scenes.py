import numpy as np

from tests.parity.scenes import scene


def test_boxes_are_tight_around_the_masks():
    made = scene(3, height=90, width=120, num_objects=5, num_classes=4)
    assert made.image.shape == (90, 120, 3)
    assert made.image.dtype == np.uint8
    assert len(made.boxes) == len(made.labels) == len(made.masks) == 5
    assert made.labels.max() < 4
    for box, mask in zip(made.boxes, made.masks, strict=True):
        rows, columns = np.nonzero(mask)
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(box, tight)


def test_a_seed_makes_the_same_scene_again():
    first, again, other = (
        scene(seed, height=60, width=70, num_objects=2, num_classes=9) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any()
