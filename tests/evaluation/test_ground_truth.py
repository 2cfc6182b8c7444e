import numpy as np

from maskrcnn_jax.data.annotations import read_annotations
from maskrcnn_jax.data.records import Dataset, Record
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.ground_truth import read_truth, truth_of


def as_dataset(path):
    """The data set that an annotation file describes, without its images."""
    file = read_annotations(path)
    records = [
        Record(
            image_id=int(file.images.ids[index]),
            file_name=file.images.file_names[index],
            image=b"",
            height=int(file.images.heights[index]),
            width=int(file.images.widths[index]),
            annotations=found,
        )
        for index, found in enumerate(file.annotations)
    ]
    return Dataset(
        name="toy",
        split="val",
        categories=file.categories,
        images=file.images,
        records=records,
        dropped=file.dropped,
    )


def test_truth_keeps_the_values_and_ids_of_the_file(content, write):
    truth = read_truth(write(content))
    assert truth.image_sizes == {7: (120, 160), 3: (120, 160), 5: (120, 160)}
    assert {item.id: item.name for item in truth.categories} == {4: "dog", 6: "unicorn", 10: "cat"}
    given = [
        (item["image_id"], item["category_id"], tuple(item["bbox"]), item["area"])
        for item in content["annotations"]
    ]
    objects = truth.objects
    assert [(o.image_id, o.category_id, o.box, o.area) for o in objects] == given
    assert [item.is_crowd for item in objects] == [False, False, False, False, True]
    assert rle.extent(objects[4].segmentation) == [0, 0, 60, 120]


def test_a_data_set_gives_what_its_file_gives_with_dropped_objects_too(content, write):
    content["annotations"][2]["bbox"][2] = 0
    path = write(content)
    dataset = as_dataset(path)
    assert len(dataset.dropped) == 1
    truth = read_truth(path)
    assert len(truth.objects) == 5
    assert truth_of(dataset) == truth


def test_truth_of_some_images(content, write):
    dataset = as_dataset(write(content))
    index = int(np.flatnonzero(dataset.images.ids == 3)[0])
    truth = truth_of(dataset, indices=[index])
    assert list(truth.image_sizes) == [3]
    assert [item.image_id for item in truth.objects] == [3, 3]
    assert len(truth.categories) == 3
