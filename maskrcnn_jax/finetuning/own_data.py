"""A user's data in COCO layout, as far as it decides how to train on it. No image is read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.data.annotations import AnnotationFile, read_annotations
from maskrcnn_jax.data.coco_format.layout import (
    find_annotation_file,
    semantic_folder,
    splits_of,
)
from maskrcnn_jax.data.datasets import CocoFormatConfig
from maskrcnn_jax.data.records import Annotation, Category
from maskrcnn_jax.errors import InputError

# How the name of a split to evaluate on begins, the likelier first.
_EVALUATION = ("val", "test")
# Of all classes, those of which the number of objects is told.
_NUM_TOLD = 6


@dataclass(frozen=True, kw_only=True)
class DataPlace:
    """Where to look. Without a root there is nothing to look at."""

    # Folder with annotations/instances_SPLIT.json and the images.
    root: Path | None = None
    # None: "train", or the only one that is named like it.
    train_split: str | None = None
    # None: "val", or one that is named like it, or like "test".
    eval_split: str | None = None


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """``eval_split`` is None where there is no split but the one to train on."""

    root: Path
    train_split: str
    eval_split: str | None
    content: AnnotationFile  # of the training split
    num_eval_images: int

    @property
    def annotation_file(self) -> Path:
        return find_annotation_file(self.root, self.train_split)

    @property
    def categories(self) -> Sequence[Category]:
        return self.content.categories

    @property
    def num_images(self) -> int:
        return len(self.content.images)

    @property
    def num_with_objects(self) -> int:
        """Images; no others are trained on unless they are asked for."""
        return int((self.content.images.num_objects > 0).sum())

    @property
    def has_semantic_maps(self) -> bool:
        return semantic_folder(self.root, self.train_split).is_dir()

    @property
    def most_objects(self) -> int:
        """In one image."""
        return int(self.content.images.num_objects.max())

    def config(self) -> CocoFormatConfig:
        """As it is opened for training."""
        if self.eval_split is None:
            return CocoFormatConfig(root=self.root, train_split=self.train_split)
        return CocoFormatConfig(
            root=self.root, train_split=self.train_split, eval_split=self.eval_split
        )

    def image_sizes(self) -> Int[np.ndarray, "n 2"]:
        """(height, width) of all images."""
        images = self.content.images
        return np.stack([images.heights, images.widths], axis=-1)

    def object_sides(self) -> Float[np.ndarray, "m"]:
        """Of every object, the side of a square as large as its box, in pixels."""
        return np.sqrt([item.box[2] * item.box[3] for item in self._objects()])

    def reasons(self) -> dict[str, str]:
        """Of each option, why it is as it is."""
        counts = self._counts()
        told = ", ".join(f"{count} {name}" for name, count in counts.most_common(_NUM_TOLD))
        more = len(counts) - _NUM_TOLD
        reasons = {
            "model.num_classes": f"{told}, and {more} more" if more > 0 else told,
            "data.train_split": f"{self.num_with_objects} images with objects",
        }
        if self.eval_split is not None:
            reasons["data.eval_split"] = f"{self.num_eval_images} images, for eval.py alone"
        return reasons

    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the data."""
        warnings = []
        if missing := [name for name, count in self._counts().items() if count == 0]:
            warnings.append(
                f"no object of {', '.join(map(repr, missing[:_NUM_TOLD]))} to train on: a class "
                "that is never seen is never found"
            )
        if self.eval_split is None:
            warnings.append(
                "all images are trained on, and none are held out: eval.py has nothing to tell "
                "how good the detector is. Put some images into annotations/instances_val.json in "
                f"place of {self.annotation_file.name}"
            )
        return tuple(warnings)

    def _counts(self) -> Counter[str]:
        """Objects of each category, by its name."""
        found = Counter(item.label for item in self._objects())
        return Counter({item.name: found[label] for label, item in enumerate(self.categories)})

    def _objects(self) -> list[Annotation]:
        return [item for found in self.content.annotations for item in found if not item.is_crowd]


def look_at(place: DataPlace) -> OwnData:
    """Reads the annotations of both splits, which are looked for where they are not named.

    Raises ``InputError`` for what would be refused later: no object to train on, and other
    categories in the split to evaluate on.
    """
    if place.root is None:
        raise InputError(
            "give --data.root MYDATA, a folder with annotations/instances_train.json and the "
            "images, and --init.checkpoint WEIGHTS to start from"
        )
    splits = splits_of(place.root)
    train_split = place.train_split or _training_split(splits)
    path = find_annotation_file(place.root, train_split)
    content = read_annotations(path)
    if not content.images.num_objects.any():
        raise InputError(f"{path}: none of its {len(content.images)} images has an object")
    eval_split = place.eval_split or _evaluation_split(splits, train_split)
    num_eval_images = 0
    if eval_split is not None:
        eval_path = find_annotation_file(place.root, eval_split)
        held_out = read_annotations(eval_path)
        _check_same_categories(content, held_out, path=path, eval_path=eval_path)
        num_eval_images = len(held_out.images)
    return OwnData(
        root=place.root,
        train_split=train_split,
        eval_split=eval_split,
        content=content,
        num_eval_images=num_eval_images,
    )


def _training_split(splits: Sequence[str]) -> str:
    """``train``, the only one that begins so, or the only one at all."""
    if "train" in splits or not splits:
        return "train"
    likely = [split for split in splits if split.startswith("train")] or list(splits)
    if len(likely) > 1:
        raise InputError(
            f"say with --data.train-split which split to train on: {', '.join(likely)}"
        )
    return likely[0]


def _evaluation_split(splits: Sequence[str], train_split: str) -> str | None:
    others = [split for split in splits if split != train_split]
    likely = [s for beginning in _EVALUATION for s in others if s.startswith(beginning)]
    return likely[0] if likely else None


def _check_same_categories(
    content: AnnotationFile, held_out: AnnotationFile, *, path: Path, eval_path: Path
) -> None:
    """Evaluation asks for it, hours later."""
    ours, theirs = (
        {(category.id, category.name) for category in file.categories}
        for file in (content, held_out)
    )
    for id, name in sorted(ours ^ theirs)[:1]:
        has, lacks = (path, eval_path) if (id, name) in ours else (eval_path, path)
        raise InputError(
            f"{lacks}: there is no category {name!r} with id {id}, which {has.name} has. Give both "
            "files the same categories, also those that one of them has no object of"
        )
