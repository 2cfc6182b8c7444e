"""Pasted masks: cases of torchvision's test_onnx.py and Detectron2's test_mask_ops.py."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.data.annotations import read_annotations
from maskrcnn_jax.data.masks import framed_mask
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.results import in_whole_pixels
from maskrcnn_jax.ops.paste import paste_masks
from maskrcnn_jax.roi.mask.targets import MaskTargetConfig, mask_targets
from maskrcnn_jax.structures import GroundTruth, Samples
from tests.peers.cases import PASTED, outputs, pasted_case

# ---- torchvision, test_onnx.py: test_paste_mask_in_image ----------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", PASTED)
def test_paste_mask_in_image(name):
    """The same sums over rows and over columns as torchvision's.

    Many of the boxes are inside out. Nothing is pasted there; here they are dropped beforehand.
    """
    masks, boxes, (height, width) = pasted_case(name)
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1)
    rows, columns = (outputs()[f"pasted_{name}_{axis}"] for axis in ("rows", "columns"))
    assert not rows[~has_area].any()

    pairs = map(in_whole_pixels, masks[has_area], boxes[has_area])
    padded, whole = (jnp.stack(x) for x in zip(*pairs, strict=True))
    paste = functools.partial(paste_masks, height=height, width=width)
    images = jax.jit(paste)(padded, whole, valid=jnp.ones(len(padded), bool))
    np.testing.assert_allclose(images.sum(2), rows[has_area], atol=1e-10)
    np.testing.assert_allclose(images.sum(1), columns[has_area], atol=1e-10)


# ---- Detectron2, tests/layers/test_mask_ops.py: test_crop_paste_consistency ---------------------

SIDE, CANVAS = 28, 640  # no image of COCO is larger
NUM_ANNOTATIONS = 100


@jax.jit
def cropped(bitmap, box):
    """The mask [28, 28] inside a box of a bitmap that begins at the image's corner."""
    one = jnp.ones(1, bool)
    truth = GroundTruth(
        boxes=box[None],
        labels=jnp.zeros(1, jnp.int32),
        masks=bitmap[None],
        mask_frames=jnp.array([[0.0, 0, CANVAS, CANVAS]]),
        valid=one,
    )
    sample = Samples(boxes=box[None], labels=truth.labels, matched=truth.labels, valid=one)
    return mask_targets(truth, sample, side=SIDE, config=MaskTargetConfig())[0]


def overlap_after(mask, box, whole):
    """IoU of a mask, pasted into its box, with that of the whole image which it came from."""
    height, width = whole["size"]
    mask, box = np.asarray(mask, np.float32), np.asarray(box)
    return rle.iou(rle.encode_pasted(mask, box, height=height, width=width), whole)


def annotated_objects(folder):
    """Segmentation, box (XYXY) and image size of all objects of COCO's small validation split."""
    content = read_annotations(folder / "annotations" / "instances_val2017.json")
    sizes = zip(content.images.heights.tolist(), content.images.widths.tolist(), strict=True)
    for annotations, size in zip(content.annotations, sizes, strict=True):
        for annotation in annotations:
            if not annotation.is_crowd:
                x, y, w, h = annotation.box
                yield annotation.segmentation, np.array([x, y, x + w, y + h], np.float32), size


def test_crop_paste_consistency(shared):
    """Cropping and pasting undo each other, for polygons and for bitmaps."""
    objects = annotated_objects(shared / "data" / "coco2017_mini")
    overlaps = []
    for segmentation, box, (height, width) in itertools.islice(objects, NUM_ANNOTATIONS):
        whole = rle.compressed(segmentation, height=height, width=width)
        outlined, frame = framed_mask(segmentation, image_size=(height, width), mask_size=SIDE)
        bitmap = np.zeros((CANVAS, CANVAS), bool)
        bitmap[:height, :width] = rle.decode(whole)
        overlaps.append(
            (
                overlap_after(outlined, frame, whole),
                overlap_after(cropped(bitmap, box), box, whole),
            )
        )
    assert len(overlaps) == NUM_ANNOTATIONS
    from_polygons, from_bitmaps = np.mean(overlaps, axis=0)
    assert from_polygons > 0.94
    assert from_bitmaps > 0.95
