import cv2
import numpy as np
import pytest

from maskrcnn_jax.data.scenes import read_pixels
from maskrcnn_jax.data.segmentation import check_segmentation, has_area, rle_counts
from maskrcnn_jax.data.shapes.records import DrawnRecords, drawn_dataset

RECORDS = DrawnRecords(split="train", num_images=12, image_size=64, seed=5)


def draw(**changes):
    fields = {"split": "train", "num_images": 12, "image_size": 64, "seed": 5}
    return DrawnRecords(**(fields | changes))


def decode(rle):
    runs = rle_counts(rle)
    return np.repeat(np.arange(len(runs), dtype=np.uint8) % 2, runs).reshape(64, 64).T.copy()


def test_a_record_depends_on_seed_split_and_index_only():
    forwards = list(RECORDS)
    backwards = [draw(num_images=99)[i] for i in reversed(range(12))]
    assert forwards == backwards[::-1]
    for changes in ({"seed": 6}, {"split": "val"}):
        other = list(draw(**changes))
        assert all(a.image != b.image for a, b in zip(forwards, other, strict=True))
    assert len({record.image for record in forwards}) == 12


def test_records_can_be_iterated_and_end():
    assert len(list(RECORDS)) == len(RECORDS) == 12


@pytest.mark.parametrize("record", list(RECORDS), ids=lambda record: record.file_name)
def test_annotations_fit_their_masks(record):
    covered = np.zeros((64, 64), int)
    for annotation in record.annotations:
        assert check_segmentation(annotation.segmentation, height=64, width=64)
        assert has_area(annotation.segmentation, height=64, width=64)
        mask = decode(annotation.segmentation)
        x, y, width, height = map(int, annotation.box)
        assert (x, y, width, height) == cv2.boundingRect(mask)
        assert annotation.area == mask.sum()
        covered += mask
    assert covered.max() <= 1


def test_the_index_describes_the_records():
    dataset = drawn_dataset(RECORDS)
    for i, record in enumerate(RECORDS):
        assert dataset.images.ids[i] == record.image_id
        assert dataset.images.file_names[i] == record.file_name
        assert (dataset.images.heights[i], dataset.images.widths[i]) == (64, 64)
        assert dataset.images.num_objects[i] == len(record.annotations)
        assert read_pixels(record).shape == (64, 64, 3)


def test_ids_are_unique():
    ids = [annotation.id for record in RECORDS for annotation in record.annotations]
    assert len(set(ids)) == len(ids)


def test_categories_are_named_after_the_shapes():
    names = [category.name for category in drawn_dataset(RECORDS).categories]
    assert names == ["disc", "rectangle", "triangle", "star", "ring", "cross"]
