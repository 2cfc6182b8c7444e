"""Labels by category id: for detectors that have an output for every id, used or not.

torchvision's COCO models do: their class i is category i, of 1 to 90, though COCO uses only 80 ids.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from maskrcnn_jax.data.records import Annotation, Category, Dataset, Record, RecordSource
from maskrcnn_jax.errors import InputError


def labelled_by_id(dataset: Dataset) -> Dataset:
    """The same data, with label = category id - 1, and categories for unused ids in between.

    Raises InputError for ids below 1.
    """
    named = {category.id: category for category in dataset.categories}
    if min(named, default=1) < 1:
        raise InputError(
            f"{dataset.name}: category id {min(named)} cannot become a label; with labels by "
            "category id all ids must be at least 1"
        )
    categories = [
        named.get(id, Category(id=id, name=f"unused {id}"))
        for id in range(1, max(named, default=0) + 1)
    ]
    labels = tuple(category.id - 1 for category in dataset.categories)
    return dataclasses.replace(
        dataset,
        categories=categories,
        records=_Relabelled(source=dataset.records, labels=labels),
        dropped=tuple(
            dataclasses.replace(item, annotation=_relabel(item.annotation, labels))
            for item in dataset.dropped
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Relabelled:
    source: RecordSource
    labels: Sequence[int]  # new label of each old one

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int, /) -> Record:
        record = self.source[index]
        annotations = tuple(_relabel(item, self.labels) for item in record.annotations)
        return dataclasses.replace(record, annotations=annotations)


def _relabel(annotation: Annotation, labels: Sequence[int]) -> Annotation:
    return dataclasses.replace(annotation, label=labels[annotation.label])
