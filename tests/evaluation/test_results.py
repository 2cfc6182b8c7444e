import dataclasses

import jax
import numpy as np
import pytest

from maskrcnn_jax.data.records import Annotation, Category, Record
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.results import annotated_objects, coco_records, in_original_frame
from maskrcnn_jax.structures import Detections

RESIZED, ORIGINAL = (60, 90), (125, 175)
CATEGORIES = (Category(id=4, name="dog"), Category(id=10, name="cat"))


def detections(*, side=7):
    boxes = [[9, 6, 45, 30], [80, 50, 95, 70], [90, 0, 99, 20], [0, 0, 1, 1]]
    boxes, scores = np.array(boxes, np.float32), np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    return Detections(
        boxes=boxes,
        scores=scores,
        labels=np.array([1, 0, 1, 0]),
        masks=np.ones((4, side, side), np.float32),
        mask_frames=boxes.copy(),
        mask_scores=scores.copy(),
        valid=np.array([True, True, True, False]),
    )


def convert(found):
    return in_original_frame(found, resized=RESIZED, original=ORIGINAL, paste="exact")


def test_boxes_are_scaled_by_axis_clipped_and_dropped_when_outside():
    found = convert(detections())
    x, y = 175 / 90, 125 / 60
    np.testing.assert_allclose(found.boxes[0], [9 * x, 6 * y, 45 * x, 30 * y], rtol=1e-12)
    np.testing.assert_allclose(found.boxes[1], [80 * x, 50 * y, 175, 125], rtol=1e-12)
    assert found.labels.tolist() == [1, 0]  # the third is outside, the fourth invalid
    np.testing.assert_array_equal(found.scores, np.float32([0.9, 0.8]))
    np.testing.assert_array_equal(found.mask_scores, np.float32([0.9, 0.8]))


def test_masks_fill_what_of_their_frames_is_in_the_image():
    """Which may be others than the boxes."""
    given, scale = detections(), np.tile([175 / 90, 125 / 60], 2)
    given.mask_frames[0] = [20, 10, 60, 50]
    for box, segmentation in zip(
        given.mask_frames[:2] * scale, convert(given).segmentations, strict=True
    ):
        assert segmentation["size"] == list(ORIGINAL)
        x1, y1, x2, y2 = box
        centres_x, centres_y = np.arange(175) + 0.5, np.arange(125) + 0.5
        inside_x = (centres_x >= x1) & (centres_x <= x2)
        inside_y = (centres_y >= y1) & (centres_y <= y2)
        mask = rle.decode(segmentation)
        difference = mask != inside_y[:, None] & inside_x[None, :]
        # Bilinear corners are round: near them alone the mask may lack a few pixels.
        assert difference.sum() <= 0.02 * mask.sum()


def test_garbage_in_invalid_entries_changes_nothing():
    clean, dirty = detections(), detections()
    dirty.boxes[3], dirty.scores[3], dirty.labels[3], dirty.masks[3] = np.nan, np.nan, -9, np.nan
    dirty.mask_frames[3], dirty.mask_scores[3] = np.nan, np.nan
    for a, b in zip(
        jax.tree.leaves(vars(convert(clean))), jax.tree.leaves(vars(convert(dirty))), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_records_have_original_ids_and_xywh():
    first, second = coco_records(convert(detections()), image_id=np.int64(7), categories=CATEGORIES)
    assert first.keys() == {"image_id", "category_id", "bbox", "score", "segmentation"}
    assert (first["image_id"], first["category_id"]) == (7, 10)
    assert second["category_id"] == 4
    assert first["bbox"] == pytest.approx([17.5, 12.5, 70, 50])
    assert first["score"] == float(np.float32(0.9))
    assert all(type(number) is float for number in [*first["bbox"], first["score"]])


def test_scores_of_masks_are_written_where_they_are_others():
    judged = detections()
    judged.mask_scores[0] = 0.25
    first, second = coco_records(convert(judged), image_id=7, categories=CATEGORIES)
    assert (first["score"], first["mask_score"]) == (float(np.float32(0.9)), 0.25)
    assert "mask_score" not in second


def test_a_detector_without_masks_gives_no_segmentation():
    found = convert(detections(side=0))
    assert found.segmentations is None
    records = coco_records(found, image_id=7, categories=CATEGORIES)
    assert all("segmentation" not in record for record in records)


def test_no_detections():
    found = detections()
    nothing = convert(found.replace(valid=np.zeros(4, bool)))
    assert len(nothing) == 0
    assert nothing.segmentations == []
    assert coco_records(nothing, image_id=7, categories=CATEGORIES) == []


def test_annotated_objects_are_a_perfect_detector():
    square = [[10, 20, 40, 20, 40, 60, 10, 60]]
    annotations = tuple(
        Annotation(
            id=number,
            label=1,
            box=(10, 20, 30, 40),
            area=1200,
            is_crowd=is_crowd,
            segmentation=square,
        )
        for number, is_crowd in enumerate([False, True])
    )
    record = Record(
        image_id=7, file_name="", image=b"", height=125, width=175, annotations=annotations
    )
    found = annotated_objects(record)
    np.testing.assert_array_equal(found.boxes, [[10, 20, 40, 60]])
    assert found.labels.tolist() == [1]
    assert rle.extent(found.segmentations[0]) == [10, 20, 30, 40]
    nothing = annotated_objects(dataclasses.replace(record, annotations=()))
    assert nothing.boxes.shape == (0, 4)


def slow_interpolation(mask, height, width):
    """torch's bilinear ``interpolate`` with ``align_corners=False``, pixel by pixel."""
    out = np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        places = []
        for i, (size, cells) in ((y, (height, mask.shape[0])), (x, (width, mask.shape[1]))):
            position = max((i + 0.5) * cells / size - 0.5, 0)
            low = int(position)
            places.append((low, min(low + 1, cells - 1), position - low))
        (y0, y1, fy), (x0, x1, fx) = places
        top = mask[y0, x0] * (1 - fx) + mask[y0, x1] * fx
        out[y, x] = top * (1 - fy) + (mask[y1, x0] * (1 - fx) + mask[y1, x1] * fx) * fy
    return out


@pytest.mark.parametrize(
    "box",
    [[20.3, 11.8, 71.6, 60.2], [-0.0, 0.2, 30.9, 40.0], [90.5, 70.1, 100.0, 80.0], [5, 5, 5.3, 9]],
)
def test_whole_pixels_are_torchvisions_paste(box):
    """Border of zeros, box grown alike and cut to integers, resized to its pixels, cropped."""
    height, width = 80, 100
    mask = np.random.default_rng(5).random((14, 14))
    box = np.array(box)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * 16 / 14
    x1, y1, x2, y2 = (int(v) for v in [*(centre - half), *(centre + half)])
    patch = slow_interpolation(np.pad(mask, 1), max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
    canvas = np.zeros((height + 400, width + 400))
    canvas[y1 + 200 : y1 + 200 + patch.shape[0], x1 + 200 : x1 + 200 + patch.shape[1]] = patch
    expected = canvas[200 : 200 + height, 200 : 200 + width] >= 0.5

    found = Detections(
        boxes=box[None], scores=np.ones(1), labels=np.zeros(1, int), masks=mask[None],
        mask_frames=box[None], mask_scores=np.ones(1), valid=np.ones(1, bool),
    )  # fmt: skip
    size = (height, width)
    pasted = in_original_frame(found, resized=size, original=size, paste="whole_pixels")
    np.testing.assert_array_equal(rle.decode(pasted.segmentations[0]), expected)


def test_what_is_selected_is_all_of_it():
    found = convert(detections())
    for kept in (np.array([1, 0]), np.array([1])):
        some = found.select(kept)
        np.testing.assert_array_equal(some.boxes, found.boxes[kept])
        np.testing.assert_array_equal(some.mask_scores, found.mask_scores[kept])
        assert some.segmentations == [found.segmentations[i] for i in kept]
        assert some.size == ORIGINAL
    assert len(found.select(found.scores > 0.85)) == 1
    none = found.select(np.array([], int))
    assert np.asarray(none.masks).shape == (0, *ORIGINAL)
    assert convert(detections(side=0)).select(np.array([0])).masks is None


def test_passing_are_good_enough_and_of_the_classes():
    found = dataclasses.replace(convert(detections()), class_names=("dog", "cat"))
    assert found.names == ["cat", "dog"]
    assert found.passing().tolist() == [0, 1]
    assert found.passing(min_score=0.85).tolist() == [0]
    assert found.passing(classes=["dog"]).tolist() == [1]
    assert found.passing(min_score=0.85, classes=["dog"]).tolist() == []
    assert found.select(np.array([], int)).passing(classes=["dog"]).tolist() == []
    with pytest.raises(InputError, match=r"no class 'catt'\. Did you mean 'cat'\?"):
        found.passing(classes=["catt"])


def test_detections_introduce_themselves():
    found = dataclasses.replace(convert(detections()), class_names=("dog", "cat"))
    assert repr(found) == "<2 detections: cat 0.90, dog 0.80>"
    assert repr(convert(detections())) == "<2 detections: 1 0.90, 0 0.80>"
    assert repr(found.select(np.array([], int))) == "<0 detections>"
