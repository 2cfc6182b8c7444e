from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskrcnn_jax.data import augment
from maskrcnn_jax.data.bitmaps import draw_mask, tight_boxes
from maskrcnn_jax.data.copy_paste import CopyPasteConfig, choose_objects, paste_objects
from maskrcnn_jax.data.scenes import Scene
from maskrcnn_jax.errors import InputError

SIDE = 40
FULL = np.array([0.0, 0, SIDE, SIDE])
# Some whole-image masks of blobs, not of single pixels.
MASKS = arrays(bool, st.tuples(st.integers(0, 4), st.just(5), st.just(5))).map(
    lambda coarse: coarse.repeat(SIDE // 5, 1).repeat(SIDE // 5, 2)
)


def scene_of(masks, *, value, first_label=0):
    """An image of one grey value with objects whose masks are the whole image's."""
    frames = np.tile(FULL, (len(masks), 1))
    return Scene(
        image=np.full((SIDE, SIDE, 3), value, np.uint8),
        boxes=tight_boxes(masks, frames),
        labels=np.arange(first_label, first_label + len(masks), dtype=np.int32),
        masks=masks,
        mask_frames=frames,
    )


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@settings(max_examples=200)
@given(MASKS, MASKS)
def test_it_equals_pasting_whole_images(own, pasted):
    """Pixel by pixel, with masks of the image's size."""
    own, pasted = own[own.any((1, 2))], pasted[pasted.any((1, 2))]
    found = paste_objects(scene_of(own, value=10), scene_of(pasted, value=99, first_label=70))
    cover = pasted.any(0)
    expected = []  # (label, mask) of each object
    for label, mask in enumerate(own):
        rest = mask & ~cover
        if not rest.any():
            continue
        is_small = rest.sum() <= 300
        if (rest != mask).any() and is_small and np.abs(box_of(rest) - box_of(mask)).max() > 10:
            continue
        expected.append((label, rest))
    expected += [(70 + i, mask) for i, mask in enumerate(pasted)]

    np.testing.assert_array_equal(found.image[..., 0], np.where(cover, 99, 10))
    assert found.labels.tolist() == [label for label, _ in expected]
    for mask, box, frame, (_, wanted) in zip(
        found.masks, found.boxes, found.mask_frames, expected, strict=True
    ):
        np.testing.assert_array_equal(draw_mask(mask, frame, size=(SIDE, SIDE)), wanted)
        np.testing.assert_allclose(box, box_of(wanted))


def framed(mask, frame, **kwargs):
    """One object whose bitmap covers a part of the image."""
    scene = scene_of(mask[None], **kwargs)
    frames = np.array([frame], float)
    return replace(scene, mask_frames=frames, boxes=tight_boxes(mask[None], frames))


FRAMES = st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(8, 20), st.floats(8, 20)).map(
    lambda f: (f[0], f[1], f[0] + f[2], f[1] + f[3])
)


@settings(max_examples=100)
@given(FRAMES, FRAMES, st.booleans(), st.tuples(st.integers(30, 90), st.integers(30, 90)))
def test_frames_of_any_place_and_size_agree_with_whole_images(own, pasted, is_flipped, size):
    """Drawn, what is left of an object is what was there and is not covered; also resized."""
    y, x = (np.mgrid[:28, :28] + 0.5) / 28 * 2 - 1
    disc, rectangle = x**2 + y**2 < 1, np.full((28, 28), True)
    below, above = framed(disc, own, value=10), framed(rectangle, pasted, value=99, first_label=1)
    below, above = (augment.resize(scene, size) for scene in (below, above))
    if is_flipped:
        below, above = augment.flip(below), augment.flip(above)
    whole, cover = (
        draw_mask(scene.masks[0], scene.mask_frames[0], size=size) for scene in (below, above)
    )
    found = paste_objects(below, above)
    np.testing.assert_array_equal(found.image[..., 0] == 99, cover)
    rest = whole & ~cover
    if 0 in found.labels:
        drawn = draw_mask(found.masks[0], found.mask_frames[0], size=size)
        cell = max(found.mask_frames[0][2:] - found.mask_frames[0][:2]) / 28
        edge = (2 * cell + 2) * np.sqrt(max(whole.sum(), 1)) * 2  # pixels near an outline
        assert (drawn != rest).sum() <= edge
        np.testing.assert_allclose(found.boxes, tight_boxes(found.masks, found.mask_frames))
        if rest.any():
            low, high = np.split(box_of(rest), 2)
            assert (found.boxes[0, :2] <= low + cell + 1).all()
            assert (found.boxes[0, 2:] >= high - cell - 1).all()
    else:
        assert rest.sum() <= 300 + 60
    assert found.labels[-1] == 1
    np.testing.assert_array_equal(found.boxes[-1], above.boxes[0])


def test_pasting_nothing_changes_nothing():
    masks = np.random.default_rng(0).random((3, SIDE, SIDE)) < 0.5
    scene = scene_of(masks, value=10)
    found = paste_objects(scene, scene_of(masks[:0], value=99))
    for name in ("image", "boxes", "labels", "masks", "mask_frames"):
        np.testing.assert_array_equal(getattr(found, name), getattr(scene, name))


def test_what_is_not_touched_keeps_its_box_and_so_do_sides_that_do_not_move():
    """Even where the annotation's box is not that of the mask."""
    masks = np.zeros((2, SIDE, SIDE), bool)
    masks[0, 2:8, 2:8] = masks[1, 20:36, 4:36] = True
    scene = scene_of(masks, value=10)
    scene.boxes[:] = [[1, 1, 9, 9], [3, 19, 38, 38]]
    cover = np.zeros((1, SIDE, SIDE), bool)
    cover[0, 10:40, 28:40] = True
    found = paste_objects(scene, scene_of(cover, value=99))
    np.testing.assert_allclose(found.boxes[:2], [[1, 1, 9, 9], [3, 19, 28, 38]])


def test_a_cell_is_lost_when_half_of_it_is_covered():
    """Cells of 10 pixels; the cover ends 4 pixels into one column of them and 5 into another."""
    for edge, columns in ((14, [0]), (15, [0, 1]), (36, [0, 1, 2, 3])):
        scene = framed(np.full((8, 8), True), (0, 0, 80, 80), value=10)
        scene = replace(scene, image=np.zeros((80, 80, 3), np.uint8))
        cover = framed(np.full((8, 8), True), (0, 0, edge, 80), value=99)
        cover = replace(cover, image=np.zeros((80, 80, 3), np.uint8))
        found = paste_objects(scene, cover)
        lost = np.flatnonzero(~found.masks[0].any(0))
        assert lost.tolist() == columns


def test_a_source_image_is_not_changed():
    masks = np.ones((1, SIDE, SIDE), bool)
    scene, pasted = scene_of(masks, value=10), scene_of(masks, value=99)
    paste_objects(scene, pasted)
    assert scene.masks.all()
    assert (scene.image == 10).all()


# ---- which objects are chosen --------------------------------------------------------------------


def test_every_number_of_objects_and_every_object_are_equally_likely():
    scene, rng = scene_of(np.ones((4, SIDE, SIDE), bool), value=0), np.random.default_rng(0)
    chosen = [choose_objects(scene, rng, at_most=9).labels for _ in range(5000)]
    counts = np.bincount([len(labels) for labels in chosen])
    np.testing.assert_allclose(counts / 5000, 1 / 5, atol=0.02)
    shares = np.bincount(np.concatenate(chosen)) / 5000
    np.testing.assert_allclose(shares, 0.5, atol=0.02)
    assert all((np.diff(labels) > 0).all() for labels in chosen)


@pytest.mark.parametrize("at_most", [0, 2])
def test_there_are_no_more_objects_than_slots(at_most):
    scene, rng = scene_of(np.ones((4, SIDE, SIDE), bool), value=0), np.random.default_rng(0)
    counts = {len(choose_objects(scene, rng, at_most=at_most).labels) for _ in range(100)}
    assert counts == set(range(at_most + 1))


def test_an_image_without_objects_has_none_to_choose():
    scene = scene_of(np.ones((0, SIDE, SIDE), bool), value=0)
    assert len(choose_objects(scene, np.random.default_rng(0), at_most=3).labels) == 0


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_wrong_probability_is_named(probability):
    with pytest.raises(InputError, match=r"^copy_paste\.probability must be between 0 and 1"):
        CopyPasteConfig(probability=probability)
