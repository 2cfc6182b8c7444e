"""Reads and checks an annotation file in COCO layout; the image files are not touched.

What is *malformed* is refused, with one message that names the file, the record and the mend:
broken JSON; a key that is missing, twice in one object, or of the wrong type; an id that occurs
twice; an image or category that does not exist; a number that is NaN or infinite; an image of no
or of too many pixels; an object without a mask; a polygon of fewer than three points and no sound
one beside it, with half a point, or larger than any image; an RLE that does not fit its image.
``iscrowd`` alone may be missing (0). Unknown keys are ignored. What files of LVIS have besides is
read too (``federation.py``).

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import TypeVar

import numpy as np

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.annotation_records import (
    AnnotatedImage,
    Listed,
    covers_nothing,
    read_annotation,
    read_category,
    read_image,
)
from maskrcnn_jax.data.federation import Federation, read_federation
from maskrcnn_jax.data.problems import Kind, Problem, Report, raise_if_it_stops
from maskrcnn_jax.data.records import (
    Annotation,
    Category,
    Dataset,
    DroppedAnnotation,
    ImageIndex,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AnnotationFile:
    categories: tuple[Category, ...]  # by id
    images: ImageIndex
    annotations: tuple[tuple[Annotation, ...], ...]  # of each image
    dropped: tuple[DroppedAnnotation, ...]
    federation: Federation | None


def read_annotations(path: Traversable) -> AnnotationFile:
    """Reads ``instances_<split>.json``. Raises ``InputError`` for what the module refuses."""
    content = json_fields.read_json_object(path)
    return parse_annotations(content, path, report=raise_if_it_stops)


def parse_annotations(content: dict, path: Traversable, *, report: Report) -> AnnotationFile:
    """What is sound in the content of an annotation file; the rest is reported, in its order.

    Where ``report`` returns, what depends on a faulty value is not looked at: the mask where the
    size of the image is not known, the rest of a record without an id, and all annotations where
    there are no images or no categories.
    """
    categories = _listed(content, "categories", read_category, path, report)
    images = _listed(content, "images", read_image, path, report)
    federation = read_federation(content, path, report=report)
    listed = Listed(images=images, categories=categories)
    sound = [image for image in images.values() if image is not None]
    places = {image.id: place for place, image in enumerate(sound)}
    kept: list[list[Annotation]] = [[] for _ in sound]
    dropped: list[DroppedAnnotation] = []
    for id, record, where in json_fields.records(content, "annotations", path, report):
        if not (images and categories):
            break
        found = read_annotation(id, record, where, listed=listed, report=report)
        if found is None:
            continue
        image, annotation = found
        place = places[image.id]
        problem = covers_nothing(annotation, image.size, where)
        if problem is None:
            kept[place].append(annotation)
        else:
            report(problem)
            reason = problem.kind.what
            dropped.append(DroppedAnnotation(image=place, annotation=annotation, reason=reason))
    if dropped and not any(kept):
        report(_nothing_left(dropped[0], path))
    return AnnotationFile(
        categories=_by_id(categories),
        images=_index(sound, kept),
        annotations=tuple(map(tuple, kept)),
        dropped=tuple(dropped),
        federation=federation,
    )


def read_categories(path: Traversable) -> tuple[Category, ...]:
    """The categories of an annotation file, in the order of their ids."""
    content = json_fields.read_json_object(path)
    return _by_id(_listed(content, "categories", read_category, path, raise_if_it_stops))


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


def _listed(
    content: dict,
    key: str,
    read: Callable[[int, dict, str, Report], T | None],
    path: Traversable,
    report: Report,
) -> dict[int, T | None]:
    """The records of a list by their ids, of which there must be one; None for a faulty record."""
    if content.get(key) == []:
        text = f"{key!r} is empty; list the {key} of the data set."
        report(Problem(kind=Kind.EMPTY_LIST, text=text, where=str(path)))
    listed: dict[int, T | None] = {}
    for id, record, where in json_fields.records(content, key, path, report):
        listed.setdefault(id, read(id, record, where, report))
    return listed


def _by_id(categories: dict[int, Category | None]) -> tuple[Category, ...]:
    sound = (category for category in categories.values() if category is not None)
    return tuple(sorted(sound, key=lambda category: category.id))


def _nothing_left(first: DroppedAnnotation, path: Traversable) -> Problem:
    return Problem(
        kind=Kind.NOTHING_LEFT,
        text=f"no annotation covers anything; the first, id {first.annotation.id}, "
        f"has a {first.reason}. Write boxes as [x, y, width, height] in pixels.",
        where=str(path),
    )


def _index(images: list[AnnotatedImage], annotations: list[list[Annotation]]) -> ImageIndex:
    heights, widths = np.array([image.size for image in images], np.int32).reshape(-1, 2).T
    return ImageIndex(
        ids=np.array([image.id for image in images], np.int64),
        file_names=tuple(image.file_name for image in images),
        heights=heights,
        widths=widths,
        num_objects=np.array([count_objects(found) for found in annotations], np.int32),
    )
