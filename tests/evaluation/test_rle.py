import jax.numpy as jnp
import numpy as np
import pycocotools.mask
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.ops.paste import paste_masks


def coco_encode(mask):
    encoded = pycocotools.mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def test_encode_pasted_equals_the_thresholded_canvas():
    rng = np.random.default_rng(0)
    height, width = 57, 83
    masks = rng.uniform(size=(40, 28, 28)).astype(np.float32)
    masks[::4] = 1  # whole boxes
    low = rng.uniform(0, 50, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.2, 60, (40, 2))], 1)
    boxes = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    boxes[0] = [0, 0, width, height]
    boxes[1] = [-9, -7, -2, -3]
    boxes[2] = [width + 1, height + 1, width + 9, height + 5]
    canvas = paste_masks(
        jnp.asarray(masks),
        jnp.asarray(boxes),
        valid=jnp.ones(40, bool),
        height=height,
        width=width,
    )
    for mask, box, probabilities in zip(masks, boxes, np.asarray(canvas), strict=True):
        encoded = rle.encode_pasted(mask, box, height=height, width=width)
        assert encoded == coco_encode(probabilities >= rle.MASK_THRESHOLD)


@pytest.mark.parametrize(
    "name", ["mask_rcnn_R_50_FPN_noaug_1x", "mask_rcnn_R_50_FPN_3x_b", "pointrend_R_50_FPN_3x"]
)
def test_encode_pasted_equals_detectron2(shared, name):
    golden = np.load(shared / "golden" / f"detectron2_{name}.npz")
    height, width = map(int, golden["original_hw"])
    masks = golden["det_mask_probs"].astype(np.float64)
    num = len(masks)  # of the first detections only
    rows = zip(masks, golden["final_boxes"][:num], golden["final_mask_rle"][:num], strict=True)
    for mask, box, counts in rows:
        encoded = rle.encode_pasted(mask, box, height=height, width=width)
        assert encoded == {"size": [height, width], "counts": counts}


masks_of_any_size = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


@settings(deadline=None)
@given(masks_of_any_size)
def test_decode_inverts_the_coco_encoder(mask):
    encoded = coco_encode(mask)
    np.testing.assert_array_equal(rle.decode(encoded), mask)
    assert rle.area(encoded) == mask.sum()
    height, width = mask.shape
    assert rle.compressed(encoded, height=height, width=width) == encoded
    x, y, inside = rle.decode_extent(encoded)
    around = np.zeros(mask.shape, np.uint8)
    around[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    np.testing.assert_array_equal(around, mask)
    assert [x, y, *inside.shape[::-1]] == rle.extent(encoded)


def test_long_runs_take_several_characters():
    mask = np.zeros((3000, 4000), bool)
    mask[17:2500, 100:3900] = True
    encoded = coco_encode(mask)
    np.testing.assert_array_equal(rle.decode(encoded), mask)


def test_polygons_and_uncompressed_runs_become_compressed():
    square = rle.compressed([[2, 1, 5, 1, 5, 4, 2, 4]], height=6, width=8)
    mask = rle.decode(square)
    assert mask[1:4, 2:5].all()
    assert mask.sum() == 9
    assert rle.extent(square) == [2, 1, 3, 3]
    runs = {"size": [6, 8], "counts": [13, 3, 3, 3, 3, 3, 20]}
    assert rle.compressed(runs, height=6, width=8) == square


def test_iou_of_masks():
    half, whole = np.zeros((4, 6), bool), np.ones((4, 6), bool)
    half[:2] = True
    assert rle.iou(coco_encode(half), coco_encode(whole)) == 0.5


def test_decoded_masks_are_a_sequence():
    masks = np.random.default_rng(1).uniform(size=(5, 7, 9)) < 0.5
    decoded = rle.DecodedMasks([coco_encode(mask) for mask in masks])
    assert len(decoded) == 5
    np.testing.assert_array_equal(list(decoded), masks)
    np.testing.assert_array_equal(list(decoded[1:3]), masks[1:3])
