"""One pass over a split that reads as training does, but does not stop at the first problem."""

from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax.data import json_fields
from maskrcnn_jax.data.annotations import AnnotationFile, count_objects, parse_annotations
from maskrcnn_jax.data.check.contents import check_contents
from maskrcnn_jax.data.check.image_files import check_image_files
from maskrcnn_jax.data.coco_format.files import FileRecords
from maskrcnn_jax.data.coco_format.layout import (
    SplitFiles,
    find_annotation_file,
    find_image_folders,
)
from maskrcnn_jax.data.problems import Effect, Problem, attempt


@dataclass(frozen=True, kw_only=True)
class CheckedSplit:
    """Numbers count what can be read."""

    annotation_file: Path
    num_categories: int = 0
    num_images: int = 0
    num_objects: int = 0
    num_crowds: int = 0
    most_objects: int = 0  # in one image
    problems: tuple[Problem, ...]

    @property
    def stops_training(self) -> bool:
        return any(problem.kind.effect is Effect.STOPS for problem in self.problems)


def check_split(root: Path, split: str) -> CheckedSplit:
    """Checks the annotations and all image files of a split.

    Of a value in the annotation file that stops training, and of an image file, the first problem
    is found; see ``parse_annotations`` for what can hide behind it.

    Raises:
      InputError: there is no annotation file of that split.
    """
    path = find_annotation_file(root, split)
    problems: list[Problem] = []
    content = attempt(problems.append, json_fields.read_json_object, path)
    if content is None:
        return CheckedSplit(annotation_file=path, problems=tuple(problems))
    file = parse_annotations(content, path, report=problems.append)
    check_contents(file, path, is_whole=_is_whole(file, content), report=problems.append)
    folders = attempt(problems.append, find_image_folders, root, split)
    if folders is not None:
        files = SplitFiles(name=root.name, split=split, annotation_file=path, image_folders=folders)
        check_image_files(FileRecords(files, file), path, problems.append)
    annotations = [annotation for found in file.annotations for annotation in found]
    return CheckedSplit(
        annotation_file=path,
        num_categories=len(file.categories),
        num_images=len(file.images),
        num_objects=count_objects(annotations),
        num_crowds=len(annotations) - count_objects(annotations),
        most_objects=max(file.images.num_objects.tolist(), default=0),
        problems=tuple(problems),
    )


def _is_whole(file: AnnotationFile, content: dict) -> bool:
    """Whether every annotation could be read, so that what has none is known to have none."""
    listed = content.get("annotations")
    num_read = sum(map(len, file.annotations)) + len(file.dropped)
    return isinstance(listed, list) and len(listed) == num_read
