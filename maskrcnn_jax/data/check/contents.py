"""What is well-formed in an annotation file, but not trained on, changed, or doubtful."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maskrcnn_jax.data.annotations import AnnotationFile
from maskrcnn_jax.data.check.objects import check_annotation
from maskrcnn_jax.data.problems import Kind, Problem, Report

# COCO's evaluation takes as many detections of an image.
_MANY = 100


def check_contents(file: AnnotationFile, path: Path, *, is_whole: bool, report: Report) -> None:
    """Reports on all that could be read. ``is_whole`` says that this is every annotation.

    Only then is it known which images and categories have no objects.
    """
    _check_names(file, path, report)
    if is_whole:
        _check_for_objects(file, path, report)
    num_corners = 0
    for image, annotations in enumerate(file.annotations):
        size = (int(file.images.heights[image]), int(file.images.widths[image]))
        for annotation in annotations:
            where = f"{path}: annotation {annotation.id}"
            num_corners += check_annotation(annotation, size, where=where, report=report)
        _check_repetitions(file, image, path, report)
    num_boxes = sum(map(len, file.annotations))
    if 2 * num_corners > num_boxes:
        text = (
            f"{num_corners} of {num_boxes} boxes fit their image or their mask as corners, but not "
            "as [x, y, width, height], which the format asks for."
        )
        report(Problem(kind=Kind.LIKELY_CORNERS, text=text, where=str(path)))


def _check_names(file: AnnotationFile, path: Path, report: Report) -> None:
    categories = ((category.name, category.id) for category in file.categories)
    for name, ids in _shared(categories):
        text = f"{name!r} is the name of the categories {ids}."
        where = f"{path}: category {ids[0]}"
        report(Problem(kind=Kind.REPEATED_CATEGORY_NAME, text=text, where=where))
    for name, ids in _shared(zip(file.images.file_names, file.images.ids.tolist(), strict=True)):
        text = f"{name!r} is the file of the images {ids}."
        where = f"{path}: image {ids[0]}"
        report(Problem(kind=Kind.REPEATED_FILE_NAME, text=text, where=where))


def _shared(names: Iterable[tuple[str, int]]) -> list[tuple[str, list[int]]]:
    """The names that several ids have, with these."""
    ids: dict[str, list[int]] = {}
    for name, id in names:
        ids.setdefault(name, []).append(id)
    return [(name, found) for name, found in ids.items() if len(found) > 1]


def _check_for_objects(file: AnnotationFile, path: Path, report: Report) -> None:
    objects = [item for found in file.annotations for item in found if not item.is_crowd]
    if not objects:
        text = f"none of the {len(file.images)} images has an object to train on."
        report(Problem(kind=Kind.NO_OBJECTS, text=text, where=str(path)))
    seen = {annotation.label for annotation in objects}
    for label, category in enumerate(file.categories):
        if label not in seen:
            where = f"{path}: category {category.id}"
            report(Problem(kind=Kind.EMPTY_CATEGORY, text=repr(category.name), where=where))
    for image in np.flatnonzero(file.images.num_objects == 0).tolist():
        where = f"{path}: image {file.images.ids[image]}"
        text = repr(file.images.file_names[image])
        report(Problem(kind=Kind.EMPTY_IMAGE, text=text, where=where))


def _check_repetitions(file: AnnotationFile, image: int, path: Path, report: Report) -> None:
    """Whether an image has too many objects, or one twice."""
    num_objects = file.images.num_objects[image]
    if num_objects > _MANY:
        where = f"{path}: image {file.images.ids[image]}"
        report(Problem(kind=Kind.MANY_OBJECTS, text=f"{num_objects} objects", where=where))
    first_like: dict[tuple, int] = {}
    for annotation in file.annotations[image]:
        first = first_like.setdefault((annotation.label, annotation.box), annotation.id)
        if first != annotation.id:
            text = f"has the category and the box of annotation {first}"
            where = f"{path}: annotation {annotation.id}"
            report(Problem(kind=Kind.REPEATED_OBJECT, text=text, where=where))
