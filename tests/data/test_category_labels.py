import dataclasses

import numpy as np
import pytest

from maskrcnn_jax.data.category_labels import labelled_by_id
from maskrcnn_jax.data.records import (
    Annotation,
    Category,
    Dataset,
    DroppedAnnotation,
    ImageIndex,
    Record,
)
from maskrcnn_jax.errors import InputError


def annotation(id, label):
    return Annotation(
        id=id, label=label, box=(0, 0, 2, 2), area=4, is_crowd=False, segmentation=[[0] * 6]
    )


def dataset(*ids):
    annotations = tuple(annotation(10 + i, i) for i in range(len(ids)))
    record = Record(
        image_id=1, file_name="a.png", image=b"", height=4, width=4, annotations=annotations
    )
    one = np.ones(1, np.int32)
    return Dataset(
        name="some",
        split="val",
        categories=[Category(id=id, name=f"name {id}") for id in ids],
        images=ImageIndex(
            ids=np.ones(1, np.int64),
            file_names=("a.png",),
            heights=one,
            widths=one,
            num_objects=one,
        ),
        records=[record],
        labels=(record.labels(),),
        dropped=(
            DroppedAnnotation(image=0, annotation=annotation(9, len(ids) - 1), reason="thin"),
        ),
    )


def test_labels_are_ids_less_one():
    before, after = dataset(2, 3, 7), labelled_by_id(dataset(2, 3, 7))
    assert [c.id for c in after.categories] == list(range(1, 8))
    assert [c.name for c in after.categories if c in before.categories] == [
        "name 2",
        "name 3",
        "name 7",
    ]
    assert [a.label for a in after.records[0].annotations] == [1, 2, 6]
    assert after.dropped[0].annotation.label == 6
    assert len(after.records) == 1
    assert after.labels == ((1, 2, 6),)
    for old, new in zip(before.records[0].annotations, after.records[0].annotations, strict=True):
        assert dataclasses.replace(new, label=old.label) == old
        assert after.categories[new.label] == before.categories[old.label]


@pytest.mark.parametrize("wrong", [0, 2**31])
def test_ids_that_no_layer_has_outputs_for_are_refused(wrong):
    with pytest.raises(InputError, match=f"some: category id {wrong}"):
        labelled_by_id(dataset(1, wrong))
