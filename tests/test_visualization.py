import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_jax.visualization import draw_detections, instance_colours, side_by_side

NAMES = ["cat", "dog", "traffic light"]


def background(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def disc(height, width, *, centre, radius):
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - centre[0], x - centre[1]) < radius


def scene(size=600):
    masks = np.stack(
        [
            disc(size, size, centre=(size * 0.4, size * 0.4), radius=size * 0.2),
            disc(size, size, centre=(size * 0.6, size * 0.5), radius=size * 0.2),
            disc(size, size, centre=(size * 0.5, size * 0.7), radius=size * 0.2),
        ]
    )
    boxes = np.array([[0.2, 0.2, 0.6, 0.6], [0.3, 0.4, 0.7, 0.8], [0.5, 0.3, 0.9, 0.7]]) * size
    return {
        "boxes": boxes,
        "labels": np.array([2, 0, 1]),
        "scores": np.array([0.5, 0.9, 0.7]),
        "masks": masks,
    }


def changed(picture, image):
    return (picture != image).any(-1)


def test_the_image_is_not_modified_and_nothing_is_drawn_without_detections():
    image = background(500, 640)
    before = image.copy()
    nothing = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
    picture = draw_detections(image, **nothing, masks=np.zeros((0, 500, 640), bool), names=NAMES)
    np.testing.assert_array_equal(picture, before)
    picture = draw_detections(background(600, 600), **scene(), names=NAMES)
    assert picture.dtype == np.uint8
    assert changed(picture, background(600, 600)).any()
    np.testing.assert_array_equal(image, before)


def test_masks_are_tinted_and_the_rest_is_left_alone():
    image, given = background(600, 600), scene()
    shown = changed(draw_detections(image, **given, names=NAMES), image)
    union = given["masks"].any(0)
    assert shown[union].mean() > 0.98
    assert shown[~union].mean() < 0.05  # the tags, and half of each contour


def test_the_best_score_is_on_top():
    image, given = background(600, 600), scene()
    picture = draw_detections(image, **given, names=NAMES).astype(float)
    colours = instance_colours(given["labels"], num_classes=3).astype(float)
    overlap = given["masks"].all(0)
    tint = ((picture - image)[overlap]).mean(0)
    expected = [((colour - image)[overlap]).mean(0) for colour in colours]
    similarity = [tint @ e / np.linalg.norm(tint) / np.linalg.norm(e) for e in expected]
    assert np.argmax(similarity) == 1
    assert similarity[1] > 0.97


@given(st.permutations(range(3)))
@settings(max_examples=6, deadline=None)
def test_order_of_detections_changes_nothing(order):
    image, given = background(600, 600), scene()
    permuted = {key: value[list(order)] for key, value in given.items()}
    np.testing.assert_array_equal(
        draw_detections(image, **permuted, names=NAMES),
        draw_detections(image, **given, names=NAMES),
    )


def tag_only(image, box, *, name="dog"):
    """Where the tag of a detection with an empty mask is drawn."""
    empty = np.zeros((1, *image.shape[:2]), bool)
    one = {"boxes": np.array([box]), "labels": np.array([0]), "masks": empty}
    return changed(draw_detections(image, **one, names=[name]), image)


@pytest.mark.parametrize(
    "box", [[0, 0, 90, 90], [510, 0, 600, 90], [0, 510, 90, 600], [510, 510, 600, 600]]
)
def test_tags_stay_whole_in_the_corners(box):
    image = np.zeros((600, 600, 3), np.uint8)
    assert tag_only(image, box).sum() == tag_only(image, [250, 250, 340, 340]).sum()


def test_tags_grow_with_the_image_and_shrink_to_fit_it():
    small, large = np.zeros((400, 400, 3), np.uint8), np.zeros((3000, 4000, 3), np.uint8)
    small_tag = tag_only(small, [100, 100, 300, 300])
    large_tag = tag_only(large, [1000, 1000, 3000, 2500])
    assert large_tag.any(1).sum() > 4 * small_tag.any(1).sum()
    wide = tag_only(small, [100, 100, 300, 300], name="a very long name " * 10)
    assert wide.any(0).sum() > 300
    assert wide.any(1).sum() < small_tag.any(1).sum()


def test_small_images_are_enlarged():
    given = scene(128)
    assert draw_detections(background(128, 128), **given, names=NAMES).shape == (512, 512, 3)
    dot = np.zeros((1, 100, 128), bool)
    dot[0, 50, 60] = True
    one = {"boxes": np.array([[60, 50, 61, 51]]), "labels": np.array([0])}
    black = np.zeros((100, 128, 3), np.uint8)
    with_dot = draw_detections(black, **one, masks=dot, names=NAMES)
    without = draw_detections(black, **one, masks=np.zeros_like(dot), names=NAMES)
    assert changed(with_dot, without)[200:204, 240:244].all()


def test_boxes_are_drawn_where_there_are_no_masks():
    image = np.zeros((600, 600, 3), np.uint8)
    boxes = {"boxes": np.array([[100, 200, 400, 500.0]]), "labels": np.array([1])}
    shown = changed(draw_detections(image, **boxes, names=NAMES), image)
    assert shown[200:500, 100].all()
    assert shown[500, 100:400].all()
    assert not shown[250:450, 150:350].any()


def distances(colours):
    difference = colours[:, None].astype(float) - colours[None].astype(float)
    lengths = np.sqrt((difference**2).sum(-1))
    return lengths[~np.eye(len(colours), dtype=bool)]


def test_colours_are_stable_by_class_and_differ_between_instances():
    alone = instance_colours(np.array([2]), num_classes=3)
    crowd = instance_colours(np.array([0, 1, 0, 2, 0]), num_classes=3)
    np.testing.assert_array_equal(alone[0], crowd[3])
    assert distances(instance_colours(np.arange(8), num_classes=8)).min() > 60
    assert distances(instance_colours(np.zeros(8, int), num_classes=1)).min() > 30
    assert distances(instance_colours(np.zeros(8, int), num_classes=80)).min() > 5


def test_side_by_side_keeps_the_pictures():
    left, right = background(300, 200), background(250, 100)
    row = side_by_side({"ground truth": left, "prediction": right})
    top, gap = row.shape[0] - 300, row.shape[1] - 300
    assert top > 10
    assert gap > 0
    np.testing.assert_array_equal(row[top:, :200], left)
    np.testing.assert_array_equal(row[top : top + 250, 200 + gap :], right)
