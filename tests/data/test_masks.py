import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.masks import framed_mask

# pycocotools 2.0.11 with numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IMAGE_SIZE = (60, 80)


def draw(bitmap, frame, *, image_size):
    """The mask in the image: bilinear samples at the pixel centres, at least one half."""
    size = len(bitmap)

    def weights(num_pixels, low, high):
        centres = np.arange(num_pixels) + 0.5
        places = np.clip((centres - low) * size / (high - low) - 0.5, 0, size - 1)
        left = np.minimum(places.astype(int), size - 2)
        samples = np.zeros((num_pixels, size))
        samples[np.arange(num_pixels), left] = 1 - (places - left)
        samples[np.arange(num_pixels), left + 1] += places - left
        return samples * ((centres > low) & (centres < high))[:, None]

    left, top, right, bottom = frame
    height, width = image_size
    return weights(height, top, bottom) @ bitmap @ weights(width, left, right).T >= 0.5


def iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def pixels(segmentation, *, image_size):
    """The mask as pycocotools has it."""
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, *image_size))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, *image_size)
    else:
        rle = segmentation
    return coco_mask.decode(rle).astype(bool)


def uncompressed_rle(mask):
    runs = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=~mask[0, 0], append=2)))
    return {"size": list(mask.shape), "counts": [0] * bool(mask[0, 0]) + runs.tolist()}


def ellipse(centre, radii, *, image_size=IMAGE_SIZE):
    y, x = np.mgrid[: image_size[0], : image_size[1]] + 0.5
    return ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1


@given(
    st.tuples(st.floats(0, 79), st.floats(0, 59)),
    st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
)
def test_a_rectangle_fills_its_frame(corner, sides):
    """Whatever its size and place, to the border of the image."""
    (x, y), (w, h) = corner, sides
    polygon = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    bitmap, frame = framed_mask(polygon, image_size=IMAGE_SIZE, mask_size=28)
    np.testing.assert_allclose(frame, [x, y, min(x + w, 80), min(y + h, 60)])
    assert bitmap.all()


@given(st.integers(0, 60), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20))
def test_polygon_and_rle_of_a_rectangle_agree(x, y, w, h):
    polygon = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    rle = uncompressed_rle(pixels(polygon, image_size=IMAGE_SIZE))
    for a, b in zip(
        framed_mask(polygon, image_size=IMAGE_SIZE, mask_size=28),
        framed_mask(rle, image_size=IMAGE_SIZE, mask_size=28),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


POINTS = st.lists(st.tuples(st.floats(-400, 400), st.floats(-400, 400)), min_size=3, max_size=8)


def without_rim(mask):
    """The pixels whose neighbours are all in the mask; beyond the image there are none."""
    kernel = np.ones((3, 3), np.uint8)
    return cv2.erode(
        mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    ).astype(bool)


@given(POINTS)
def test_a_polygon_beyond_the_image_is_cut_off(points):
    """Of any shape, however far outside; as exactly as its bitmap's resolution allows."""
    polygon = [np.ravel(points).tolist()]
    bitmap, frame = framed_mask(polygon, image_size=IMAGE_SIZE, mask_size=112)
    assert (frame >= 0).all()
    assert (frame <= [80, 60, 80, 60]).all()
    mask = pixels(polygon, image_size=IMAGE_SIZE)
    if mask.any() and bitmap.any():
        drawn = draw(bitmap, frame, image_size=IMAGE_SIZE)
        outline = mask ^ without_rim(mask)
        assert (drawn ^ mask).sum() <= outline.sum() + 4


def test_a_polygon_far_beyond_the_image_costs_no_memory():
    sliver = [[-5e7, 10.0, 0.002, 10.0, 0.002, 30.0, -5e7, 30.0]]
    bitmap, frame = framed_mask(sliver, image_size=IMAGE_SIZE, mask_size=112)
    np.testing.assert_allclose(frame, [0, 10, 0.002, 30], atol=1e-6)
    assert bitmap.all()


def test_several_polygons_are_united():
    left, right = [10, 10, 20, 10, 20, 30, 10, 30], [30, 10, 40, 10, 40, 30, 30, 30]
    bitmap, frame = framed_mask([left, right], image_size=IMAGE_SIZE, mask_size=30)
    np.testing.assert_allclose(frame, [10, 10, 40, 30])
    assert bitmap[:, :10].all()
    assert not bitmap[:, 10:20].any()
    assert bitmap[:, 20:].all()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("radii", [(3, 5), (20, 20), (36, 10), (500, 8)])
def test_rle_is_resampled_in_both_directions(radii, compressed):
    """Enlarged, shrunk, one of each, and cut off by the image."""
    mask = ellipse((40, 30), radii)
    rle = uncompressed_rle(mask)
    if compressed:
        rle = coco_mask.frPyObjects(rle, *IMAGE_SIZE)
    bitmap, frame = framed_mask(rle, image_size=IMAGE_SIZE, mask_size=28)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    np.testing.assert_array_equal(frame, [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    assert bitmap.dtype == bool
    assert iou(draw(bitmap, frame, image_size=IMAGE_SIZE), mask) > 0.95


@pytest.mark.parametrize("is_solid", [False, True])
def test_a_cell_is_the_mean_of_what_it_covers(is_solid):
    """Stripes narrower than a cell leave it empty or fill it; the other axis is enlarged."""
    stripes = np.zeros(IMAGE_SIZE, bool)
    stripes[10:30, :76:3] = True
    if is_solid:
        stripes[10:30, 1:75:3] = True
    bitmap, _ = framed_mask(uncompressed_rle(stripes), image_size=IMAGE_SIZE, mask_size=28)
    assert (bitmap == is_solid).all()


@pytest.mark.parametrize(
    "nothing",
    [
        [],
        [[5, 5, 20, 5, 12, 5]],
        [[-5, 5, -20, 5, -12, 9]],
        {"size": [60, 80], "counts": [4800]},
    ],
)
def test_what_covers_nothing_is_an_empty_bitmap(nothing):
    bitmap, frame = framed_mask(nothing, image_size=IMAGE_SIZE, mask_size=28)
    assert bitmap.shape == (28, 28)
    assert not bitmap.any()
    assert np.isfinite(frame).all()


@pytest.mark.parametrize(
    ("annotations", "least"),
    [
        ("coco2017_mini/annotations/instances_val2017.json", 0.985),  # polygons
        ("penn_fudan/annotations/instances_val.json", 0.985),  # RLE
    ],
)
def test_real_masks_survive(shared, annotations, least):
    content = json.loads((shared / "data" / annotations).read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    ious = []
    for annotation in content["annotations"]:
        image_size = sizes[annotation["image_id"]]
        mask = pixels(annotation["segmentation"], image_size=image_size)
        if annotation["iscrowd"] or mask.sum() <= 32 * 32:
            continue
        framed = framed_mask(annotation["segmentation"], image_size=image_size, mask_size=112)
        ious.append(iou(draw(*framed, image_size=image_size), mask))
    assert len(ious) > 100
    assert np.mean(ious) > least
    assert np.min(ious) > 0.9
