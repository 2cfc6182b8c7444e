"""Polygons and bitmaps: cases of Detectron2's test_masks.py, test_coco.py, test_detection_utils.py
and test_transforms.py."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.augment import flip, resize
from maskrcnn_jax.data.masks import framed_mask
from maskrcnn_jax.data.scenes import Scene
from maskrcnn_jax.data.sizes import resized_sizes
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.ground_truth import read_truth

MASK_SIZE = 28


def as_rle(mask):
    return rle.compressed(
        {"size": list(mask.shape), "counts": counts_of(mask)},
        height=mask.shape[0],
        width=mask.shape[1],
    )


def counts_of(mask):
    """Runs of zeros and ones down the columns, as COCO writes them without compression."""
    flat = np.concatenate([[False], mask.T.ravel().astype(bool)])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(changes, prepend=0, append=mask.size).tolist()


# ---- tests/structures/test_masks.py: test_get_bounding_box --------------------------------------


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (["0001", "0011", "0110", "0110"], [1, 0, 4, 4]),
        (["0000", "0010", "0110", "0110"], [1, 1, 3, 4]),
        (["0000", "0000", "0000", "0000"], [0, 0, 0, 0]),
    ],
)
def test_get_bounding_box(mask, box):
    """Of a bitmap, of the rectangle as a polygon, and of that polygon as a bitmap."""
    pixels = np.array([[int(pixel) for pixel in row] for row in mask])
    x1, y1, x2, y2 = box
    polygon = [float(x) for x in (x1, y1, x2, y1, x2, y2, x1, y2)]
    for segmentation in (as_rle(pixels), rle.compressed([polygon], height=4, width=4)):
        assert rle.extent(segmentation) == [x1, y1, x2 - x1, y2 - y1]
        _, frame = framed_mask(segmentation, image_size=(4, 4), mask_size=MASK_SIZE)
        np.testing.assert_array_equal(frame, box)
    _, frame = framed_mask([polygon], image_size=(4, 4), mask_size=MASK_SIZE)
    np.testing.assert_array_equal(frame, box)


# ---- tests/data/test_coco.py: TestRLEToJson -----------------------------------------------------


def donut():
    """Where the distance from the middle of 100 x 100 pixels is between 10 and 20."""
    y, x = np.mgrid[:100, :100]
    distance = np.hypot(50 - y, 50 - x)
    return (distance > 10) & (distance < 20)


@pytest.mark.parametrize("compressed", [True, False])
def test_rle_to_json(tmp_path, compressed):
    """A mask is the same after it was written to an annotation file and read again."""
    mask = donut()
    segmentation = as_rle(mask) if compressed else {"size": [100, 100], "counts": counts_of(mask)}
    y, x = np.nonzero(mask)
    annotation = {
        "id": 1,
        "image_id": 0,
        "category_id": 0,
        "bbox": [int(side) for side in (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1)],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": segmentation,
    }
    content = {
        "images": [{"id": 0, "file_name": "test", "height": 100, "width": 100}],
        "categories": [{"id": 0, "name": "test_label"}],
        "annotations": [annotation],
    }
    path = tmp_path / "test.json"
    path.write_text(json.dumps(content))
    (found,) = read_truth(path).objects
    np.testing.assert_array_equal(rle.decode(found.segmentation), mask)


def test_uncompressed_rle():
    mask = donut()
    expected = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    assert as_rle(mask)["counts"] == expected["counts"].decode()


# ---- tests/data/test_detection_utils.py: test_transform_... -------------------------------------


def scene_of(segmentation, box, *, size):
    mask, frame = framed_mask(segmentation, image_size=size, mask_size=MASK_SIZE)
    return Scene(
        image=np.zeros((*size, 3), np.uint8),
        boxes=np.array([box], float),
        labels=np.array([3]),
        masks=mask[None],
        mask_frames=frame[None],
    )


def test_transform_simple_annotation():
    """A flip in an image 400 wide; the polygons are two triangles."""
    triangles = [[10, 10, 100, 100, 100, 10], [150, 150, 200, 150, 200, 200]]
    flipped = [[390, 10, 300, 100, 300, 10], [250, 150, 200, 150, 200, 200]]
    scene = flip(scene_of(triangles, [10, 10, 200, 300], size=(400, 400)))
    np.testing.assert_array_equal(scene.boxes, [[200, 10, 390, 300]])
    expected, frame = framed_mask(flipped, image_size=(400, 400), mask_size=MASK_SIZE)
    np.testing.assert_array_equal(scene.mask_frames, [frame])
    # COCO's rasterisation is not the same from the left as from the right.
    assert (scene.masks[0] != expected).mean() < 0.05


def test_transform_rle():
    """The left half of an image becomes the right half; then the image is made square."""
    mask = np.zeros((300, 400), bool)
    mask[:, :200] = True
    scene = flip(scene_of(as_rle(mask), [10, 10, 200, 300], size=(300, 400)))
    np.testing.assert_array_equal(scene.mask_frames, [[200, 0, 400, 300]])
    assert scene.masks.all()
    scene = resize(scene, (400, 400))
    np.testing.assert_array_equal(scene.mask_frames, [[200, 0, 400, 400]])
    assert scene.masks.all()


# ---- tests/data/test_transforms.py: the sizes of test_apply_rotated_boxes -----------------------


def test_size_after_the_default_resize():
    size = resized_sizes(np.array([200, 300]), short_side=800, long_side=1333)
    np.testing.assert_array_equal(size, [800, 1200])
