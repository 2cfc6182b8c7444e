"""Reads and checks an annotation file in COCO layout; the image files are not touched.

What is *malformed* is refused, with one message that names the file, the record and the mend:
broken JSON; a key that is missing or of the wrong type; an id that occurs twice; an image or
category that does not exist; a number that is NaN or infinite; an object without a mask; a polygon
of fewer than three points and no sound one beside it, or with half a point; an RLE that does not
fit its image. ``iscrowd`` alone may be missing (0). Unknown keys are ignored.

What is well-formed but *covers nothing* is dropped and counted (two such annotations are in COCO
train2017): a box without area, a box or a mask wholly outside its image, a mask without area. A
polygon of fewer than three points beside sound ones encloses nothing and is passed over. Nothing is
trained on it. Evaluation keeps it in the ground truth, where no detection can match it and it
counts as missed (but for the sound box of a mask without area), so that AP is what pycocotools
gives for the file itself. Where nothing else is left, the mistake is systematic, and the file is
refused.

A box that sticks out of its image stays as it is, and is clipped when batches are made. Crowds are
kept. The order of images, and of the annotations of an image, is that of the file.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import numpy as np

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.records import (
    Annotation,
    Category,
    Dataset,
    DroppedAnnotation,
    ImageIndex,
)
from maskrcnn_jax.data.segmentation import check_segmentation, has_area
from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AnnotationFile:
    categories: tuple[Category, ...]  # by id
    images: ImageIndex
    annotations: tuple[tuple[Annotation, ...], ...]  # of each image
    dropped: tuple[DroppedAnnotation, ...]


@dataclass(frozen=True, kw_only=True)
class _Image:
    id: int
    file_name: str
    height: int
    width: int


def read_annotations(path: Traversable) -> AnnotationFile:
    """Reads ``instances_<split>.json``. Raises ``InputError`` for what the module refuses."""
    content = json_fields.read_json_object(path)
    categories = _categories(content, path)
    images = _read_images(content, path)
    labels = {category.id: label for label, category in enumerate(categories)}
    places = {image.id: place for place, image in enumerate(images)}
    kept: list[list[Annotation]] = [[] for _ in images]
    dropped: list[DroppedAnnotation] = []
    for record, where in json_fields.records(content, "annotations", path):
        place = places[json_fields.known_id(record, "image_id", places, where)]
        label = labels[json_fields.known_id(record, "category_id", labels, where)]
        annotation = _read_annotation(record, where, label=label, image=images[place])
        reason = _reason_to_drop(annotation, images[place])
        if reason is None:
            kept[place].append(annotation)
        else:
            dropped.append(DroppedAnnotation(image=place, annotation=annotation, reason=reason))
    if dropped and not any(kept):
        raise InputError(
            f"{path}: no annotation covers anything; the first, id {dropped[0].annotation.id}, "
            f"has a {dropped[0].reason}. Write boxes as [x, y, width, height] in pixels."
        )
    return AnnotationFile(
        categories=categories,
        images=_index(images, kept),
        annotations=tuple(map(tuple, kept)),
        dropped=tuple(dropped),
    )


def read_categories(path: Traversable) -> tuple[Category, ...]:
    """The categories of an annotation file, in the order of their ids."""
    return _categories(json_fields.read_json_object(path), path)


def count_objects(annotations: Iterable[Annotation]) -> int:
    """Number of annotations that are not crowds."""
    return sum(not annotation.is_crowd for annotation in annotations)


def dropped_summary(dataset: Dataset) -> str | None:
    """One line for the user about what was dropped; None where nothing was."""
    if not dataset.dropped:
        return None
    counts = Counter(item.reason for item in dataset.dropped)
    reasons = ", ".join(f"{count} with a {reason}" for reason, count in counts.items())
    first = dataset.dropped[0]
    return (
        f"{dataset.name} {dataset.split}: dropped {len(dataset.dropped)} annotations: {reasons} "
        f"(the first: annotation {first.annotation.id} of image {dataset.images.ids[first.image]})"
    )


def _categories(content: dict, path: Traversable) -> tuple[Category, ...]:
    categories = [
        Category(id=record["id"], name=json_fields.field(record, "name", str, where))
        for record, where in json_fields.records(content, "categories", path)
    ]
    if not categories:
        raise InputError(f"{path}: 'categories' is empty; list the classes of the data set.")
    return tuple(sorted(categories, key=lambda category: category.id))


def _read_images(content: dict, path: Traversable) -> list[_Image]:
    images = []
    for record, where in json_fields.records(content, "images", path):
        image = _Image(
            id=record["id"],
            file_name=json_fields.field(record, "file_name", str, where),
            height=json_fields.field(record, "height", int, where),
            width=json_fields.field(record, "width", int, where),
        )
        if image.height < 1 or image.width < 1:
            raise InputError(
                f"{where}: {image.height} x {image.width} pixels; write its real size."
            )
        images.append(image)
    if not images:
        raise InputError(f"{path}: 'images' is empty; there is nothing to read.")
    return images


def _read_annotation(record: dict, where: str, *, label: int, image: _Image) -> Annotation:
    x, y, width, height = json_fields.numbers(record, "bbox", where, count=4)
    is_crowd = record.get("iscrowd", 0)
    if is_crowd not in (0, 1):
        raise InputError(f"{where}: 'iscrowd' is {is_crowd!r}; it must be 0 or 1.")
    try:
        segmentation = check_segmentation(
            record.get("segmentation"), height=image.height, width=image.width
        )
    except InputError as error:
        raise InputError(f"{where}: {error}.") from None
    return Annotation(
        id=record["id"],
        label=label,
        box=(x, y, width, height),
        area=json_fields.number(record, "area", where),
        is_crowd=bool(is_crowd),
        segmentation=segmentation,
    )


def _reason_to_drop(annotation: Annotation, image: _Image) -> str | None:
    x, y, width, height = annotation.box
    if width <= 0 or height <= 0:
        return "box without area"
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        return "box outside the image"
    if not has_area(annotation.segmentation, height=image.height, width=image.width):
        return "mask without area in the image"
    return None


def _index(images: list[_Image], annotations: list[list[Annotation]]) -> ImageIndex:
    return ImageIndex(
        ids=np.array([image.id for image in images], np.int64),
        file_names=tuple(image.file_name for image in images),
        heights=np.array([image.height for image in images], np.int32),
        widths=np.array([image.width for image in images], np.int32),
        num_objects=np.array([count_objects(found) for found in annotations], np.int32),
    )
