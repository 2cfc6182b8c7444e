"""Ground truth for evaluation: the annotations' own values, from a data set or a JSON file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax.data.annotations import read_annotations
from maskrcnn_jax.data.federation import Federation
from maskrcnn_jax.data.records import (
    Annotation,
    Category,
    Dataset,
    DroppedAnnotation,
    ImageIndex,
)
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.garbage import collector_paused


@dataclass(frozen=True, kw_only=True)
class TrueObject:
    """An annotated object, or a crowd, in pixels of the original image."""

    image_id: int
    category_id: int
    box: tuple[float, float, float, float]  # XYWH
    area: float
    is_crowd: bool
    segmentation: dict  # compressed RLE


@dataclass(frozen=True, kw_only=True)
class CocoTruth:
    """What there is to find in a set of images, by the ids of its annotation file.

    Annotations that cover nothing, and are left out of training, are among the objects, so that the
    numbers are those of pycocotools on the file itself.
    """

    image_sizes: dict[int, tuple[int, int]]  # image id -> (height, width)
    file_names: dict[int, str]  # by image id
    categories: tuple[Category, ...]
    objects: tuple[TrueObject, ...]
    federation: Federation | None = None  # evaluated by LVIS's rules where it is there


def truth_of(dataset: Dataset, *, indices: Iterable[int] | None = None) -> CocoTruth:
    """Ground truth of all images of a data set, or of those at ``indices``."""
    chosen = range(len(dataset.images)) if indices is None else indices
    return _truth(
        categories=dataset.categories,
        images=dataset.images,
        annotations={index: dataset.records[index].annotations for index in chosen},
        dropped=dataset.dropped,
        federation=dataset.federation,
    )


@collector_paused()
def read_truth(path: Path) -> CocoTruth:
    """Ground truth of a COCO annotation file; the images themselves are not needed."""
    content = read_annotations(path)
    return _truth(
        categories=content.categories,
        images=content.images,
        annotations=dict(enumerate(content.annotations)),
        dropped=content.dropped,
        federation=content.federation,
    )


def _truth(
    *,
    categories: Sequence[Category],
    images: ImageIndex,
    annotations: Mapping[int, Sequence[Annotation]],
    dropped: Sequence[DroppedAnnotation],
    federation: Federation | None,
) -> CocoTruth:
    """``annotations`` are those of each chosen image, by its index."""
    sizes, file_names, objects = {}, {}, []
    others: dict[int, list[Annotation]] = {}
    for item in dropped:
        others.setdefault(item.image, []).append(item.annotation)
    for index, kept in annotations.items():
        image_id = int(images.ids[index])
        sizes[image_id] = (int(images.heights[index]), int(images.widths[index]))
        file_names[image_id] = images.file_names[index]
        objects += [
            _true_object(item, image_id, size=sizes[image_id], categories=categories)
            for item in (*kept, *others.get(index, ()))
        ]
    return CocoTruth(
        image_sizes=sizes,
        file_names=file_names,
        categories=tuple(categories),
        objects=tuple(objects),
        federation=federation,
    )


def _true_object(
    item: Annotation, image_id: int, *, size: tuple[int, int], categories: Sequence[Category]
) -> TrueObject:
    return TrueObject(
        image_id=image_id,
        category_id=categories[item.label].id,
        box=item.box,
        area=item.area,
        is_crowd=item.is_crowd,
        segmentation=rle.compressed(item.segmentation, height=size[0], width=size[1]),
    )
