"""Labels by category id: for detectors that have an output for every id, used or not.

torchvision's COCO models do: their class i is category i, of 1 to 90, though COCO uses only 80 ids.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from maskrcnn_jax.data.records import Annotation, Category, Dataset, Record, RecordSource
from maskrcnn_jax.errors import InputError

_LARGEST_ID = 10_000


def labelled_by_id(dataset: Dataset) -> Dataset:
    """The same data, with label = category id - 1, and categories for unused ids in between.

    Raises InputError for ids below 1, and for those too large for a layer with as many outputs.
    """
    for category in dataset.categories:
        if not 1 <= category.id <= _LARGEST_ID:
            raise InputError(
                f"{dataset.name}: category id {category.id} cannot become a label; with labels by "
                f"category id all ids must be from 1 to {_LARGEST_ID}"
            )
    labels = tuple(category.id - 1 for category in dataset.categories)
    return dataclasses.replace(
        dataset,
        categories=categories_by_id(dataset.categories),
        records=_Relabelled(source=dataset.records, labels=labels),
        dropped=tuple(
            dataclasses.replace(item, annotation=_relabel(item.annotation, labels))
            for item in dataset.dropped
        ),
        labels=dataset.labels
        and tuple(tuple(labels[label] for label in found) for found in dataset.labels),
    )


def categories_by_id(categories: Sequence[Category]) -> list[Category]:
    """One category for each id from 1 to the largest."""
    named = {category.id: category for category in categories}
    return [named.get(i, Category(id=i, name=f"unused {i}")) for i in range(1, max(named) + 1)]


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
