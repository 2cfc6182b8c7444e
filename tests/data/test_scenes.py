"""Parts of images: what is cut must be what cutting the whole gives."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from maskrcnn_jax.data import augment
from maskrcnn_jax.data.bitmaps import draw_mask, tight_boxes
from maskrcnn_jax.data.masks import framed_mask
from maskrcnn_jax.data.scenes import read_scene
from tests.data.samples import make_annotation, make_record

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 60, 80
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def ellipse(x, y, across, down):
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], -1)
    return [points.ravel().tolist()]


def as_rle(polygons):
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH))
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}


def pixels(segmentation):
    return coco_mask.decode(as_rle(segmentation)).astype(bool)


def annotation_of(segmentation, *, label=0):
    """With the box of the outline, as COCO has it."""
    x, y = np.reshape(segmentation[0], (-1, 2)).T
    box = (x.min(), y.min(), np.ptp(x), np.ptp(y))
    return make_annotation(box, segmentation=segmentation, label=label)


def mask_of(scene, i=0):
    return draw_mask(scene.masks[i], scene.mask_frames[i], size=scene.size)


ELLIPSES = st.builds(
    ellipse, st.floats(15, 65), st.floats(15, 45), st.floats(6, 15), st.floats(6, 15)
)
WINDOWS = st.tuples(st.integers(0, 50), st.integers(0, 40), st.integers(8, 80), st.integers(8, 60))
WINDOWS = WINDOWS.map(lambda w: (w[0], w[1], min(w[0] + w[2], WIDTH), min(w[1] + w[3], HEIGHT)))


@given(ELLIPSES, WINDOWS, st.booleans())
def test_a_cut_mask_is_the_part_of_the_whole_one(polygons, window, is_rle):
    left, top, right, bottom = window
    part = pixels(polygons)[top:bottom, left:right]
    annotation = annotation_of(polygons)
    if is_rle:
        annotation = replace(annotation, segmentation=as_rle(polygons))
    scene = read_scene(make_record(IMAGE, [annotation]), mask_size=56, window=window)
    np.testing.assert_array_equal(scene.image, IMAGE[top:bottom, left:right])
    if part.sum() > 20:
        drawn = mask_of(scene)
        assert (drawn & part).sum() / (drawn | part).sum() > 0.85
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        tight = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(scene.boxes[0], tight, atol=1.6)
    elif len(scene.labels) == 0:
        assert part.sum() <= 4  # the rounding of an outline's tip


@given(ELLIPSES, WINDOWS, st.booleans())
def test_masks_frames_and_cut_boxes_stay_inside_the_window(polygons, window, is_flipped):
    scene = read_scene(make_record(IMAGE, [annotation_of(polygons)]), mask_size=28, window=window)
    scene = augment.flip(scene) if is_flipped else scene
    height, width = scene.size
    for box in (*scene.mask_frames, *scene.boxes):
        assert (box == np.clip(box, 0, (width, height, width, height))).all()
        assert (box[2:] > box[:2]).all()


@given(ELLIPSES, WINDOWS)
def test_flipping_and_cutting_commute(polygons, window):
    left, top, right, bottom = window
    record = make_record(IMAGE, [annotation_of(polygons)])
    mirrored = np.reshape(polygons[0], (-1, 2)) * (-1, 1) + (WIDTH, 0)
    mirrored = make_record(IMAGE[:, ::-1], [annotation_of([mirrored.ravel().tolist()])])
    a = augment.flip(read_scene(record, mask_size=56, window=window))
    b = read_scene(mirrored, mask_size=56, window=(WIDTH - right, top, WIDTH - left, bottom))
    np.testing.assert_array_equal(a.image, b.image)
    assert len(a.boxes) == len(b.boxes)
    np.testing.assert_allclose(a.mask_frames, b.mask_frames, atol=1e-9)
    if len(a.boxes):  # COCO's rule of rasterisation is not symmetric
        np.testing.assert_allclose(a.boxes, b.boxes, atol=2 * WIDTH / 56)
        assert (a.masks == b.masks).mean() > 0.97


@given(ELLIPSES, WINDOWS)
def test_the_boxes_of_masks_are_the_cut_boxes(polygons, window):
    """Also after resizing and mirroring: boxes, frames and masks go together."""
    record = make_record(IMAGE, [annotation_of(polygons)])
    scene = read_scene(record, mask_size=28, window=window)
    scene = augment.flip(augment.resize(scene, (37, 91)))
    found = tight_boxes(scene.masks, scene.mask_frames)
    np.testing.assert_allclose(scene.boxes, found, atol=1e-9)


def test_the_whole_image_as_a_window_changes_nothing():
    """Not even an object that is nothing, or a box that sticks out."""
    objects = [
        annotation_of(ellipse(40, 30, 20, 10)),
        make_annotation((70, 50, 40, 40)),
        make_annotation((8, 8, 0, 8)),
        make_annotation((85, 10, 10, 10)),
    ]
    record = make_record(IMAGE, objects)
    scene = read_scene(record, mask_size=28)
    again = read_scene(record, mask_size=28, window=(0, 0, WIDTH, HEIGHT))
    assert len(scene.boxes) == 4
    assert scene.boxes[1].tolist() == [70, 50, 110, 90]
    for name in ("image", "boxes", "labels", "masks", "mask_frames"):
        np.testing.assert_array_equal(getattr(scene, name), getattr(again, name))


def test_objects_outside_of_a_window_are_dropped_and_those_inside_keep_their_boxes():
    objects = [
        annotation_of(ellipse(15, 15, 6, 6), label=1),  # outside
        replace(annotation_of(ellipse(45, 30, 8, 8), label=2), box=(36.0, 21.0, 19.0, 18.0)),
        annotation_of(ellipse(70, 30, 8, 8), label=3),  # cut
    ]
    scene = read_scene(make_record(IMAGE, objects), mask_size=28, window=(30, 10, 70, 50))
    assert scene.labels.tolist() == [2, 3]
    np.testing.assert_allclose(scene.boxes, [[6, 11, 25, 29], [32, 12, 40, 28]], atol=0.1)


def test_a_box_that_overlaps_the_window_is_not_enough():
    """Its mask must: that of an L does not reach into the corner of its box."""
    corner = [[10.0, 10.0, 14.0, 10.0, 14.0, 46.0, 60.0, 46.0, 60.0, 50.0, 10.0, 50.0]]
    record = make_record(IMAGE, [annotation_of(corner)])
    assert len(read_scene(record, mask_size=28, window=(30, 5, 70, 30)).labels) == 0
    assert len(read_scene(record, mask_size=28, window=(30, 5, 70, 48)).labels) == 1


def test_a_mask_around_the_window_gives_no_box_that_it_does_not_reach():
    """Polygons are clipped with lines along the border that enclose nothing."""
    # From the left of the window below and around its right side to the top: a "U" turned left.
    around = [[0, 2, 70, 2, 70, 58, 0, 58, 0, 48, 66, 48, 66, 12, 0, 12]]
    record = make_record(IMAGE, [annotation_of([[float(v) for v in around[0]]])])
    scene = read_scene(record, mask_size=56, window=(10, 5, 50, 55))
    np.testing.assert_allclose(scene.boxes, [[0, 0, 40, 50]], atol=0.01)
    scene = read_scene(record, mask_size=56, window=(10, 5, 50, 40))
    np.testing.assert_allclose(scene.boxes, [[0, 0, 40, 7]], atol=1)


@settings(max_examples=20)
@given(ELLIPSES)
def test_a_cut_costs_no_detail(polygons):
    """The bitmap is that of the part, not a part of the bitmap."""
    annotation = annotation_of(polygons)
    x, y, w, h = annotation.box
    window = (int(x + w / 2), 0, WIDTH, HEIGHT)
    scene = read_scene(make_record(IMAGE, [annotation]), mask_size=28, window=window)
    mask, frame = framed_mask(polygons, image_size=(HEIGHT, WIDTH), mask_size=28, window=window)
    np.testing.assert_array_equal(scene.masks[0], mask)
    np.testing.assert_allclose(frame, [0, y, x + w - window[0], y + h], atol=0.1)
