"""What the readers of all formats hand out: images, and what was drawn on them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from maskrcnn_jax.data.importers.image_files import Picture
from maskrcnn_jax.data.json_fields import can_be_written
from maskrcnn_jax.data.records import Category, Segmentation
from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A shape. Those of one image that share label and ``group`` are parts of one object."""

    where: str  # for messages: file, image and shape
    label: str
    segmentation: Segmentation  # in pixels of the picture as it is shown
    group: int | str | None = None
    is_crowd: bool = False


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    name: str  # of the file to be written, with its folder, but without suffix
    picture: Picture
    drawings: tuple[Drawing, ...]

    @property
    def file_name(self) -> str:
        return self.name + self.picture.suffix


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """``left_out`` counts shapes that are no objects, by what they are."""

    categories: tuple[Category, ...]
    images: tuple[AnnotatedImage, ...]
    left_out: Counter[str] = field(default_factory=Counter)


def numbered(labels: Iterable[str]) -> tuple[Category, ...]:
    """Categories with ids from 1, in the order in which their names come first."""
    return tuple(Category(id=id, name=name) for id, name in enumerate(dict.fromkeys(labels), 1))


def labels_of(images: Iterable[AnnotatedImage]) -> list[str]:
    """The labels that are used, in alphabetical order."""
    return sorted({drawing.label for image in images for drawing in image.drawings})


def check_names(images: Iterable[AnnotatedImage]) -> None:
    """Raises ``InputError`` where two images would become one file, or one cannot be written.

    Nor may one file be two images: where folders are missing, images are found by their bare names,
    and what was drawn on one would lie on the other.
    """
    names: set[str] = set()
    sources: dict[Path, str] = {}
    for image in images:
        name = image.file_name
        if name in names:
            raise InputError(
                f"two images would become {name!r}: rename one of them, in the annotations too."
            )
        if not can_be_written(name):
            raise InputError(f"{name!r}: an image cannot be written by that name; rename it.")
        names.add(name)
        if isinstance(image.picture.source, Path):
            source = image.picture.source
            other = sources.setdefault(source.resolve(), name)
            if other != name:
                raise InputError(
                    f"{source}: is the only image for both {other!r} and {name!r}. Put the images "
                    "into the folders of their names, and give --images the folder of these."
                )


def check_label(label: str, where: str, *, unlabelled: str | None) -> str:
    """The label, or ``unlabelled`` where there is none. Raises ``InputError`` for lack of both."""
    label = label.strip() or unlabelled or ""
    if not label:
        raise InputError(
            f"{where}: has no label; label it, or give --unlabelled NAME for all without one."
        )
    if not can_be_written(label):
        raise InputError(f"{where}: the label {label!r} is no Unicode text; write another.")
    return label
