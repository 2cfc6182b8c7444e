"""Writes what annotation tools export, or images of numbers, as a data set in COCO layout.

    python -m maskrcnn_jax.data.importers labelme FOLDER --out MYDATA --val-share 0.2
    python -m maskrcnn_jax.data.importers via EXPORT.json --out MYDATA --val-share 0.2
    python -m maskrcnn_jax.data.importers cvat annotations.xml --out MYDATA --val-share 0.2
    python -m maskrcnn_jax.data.importers instances MASKS --images PHOTOS --classes cat --out MYDATA
    python -m maskrcnn_jax.data.importers cityscapes CITYSCAPES --out MYDATA --split val

MYDATA is what train.py takes as --data.root. FORMAT --help lists the options of a format;
docs/importing.md tells what becomes of what.
"""

import abc
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.data.importers.annotated import Annotated, AnnotatedImage, check_names
from maskrcnn_jax.data.importers.cityscapes import read_cityscapes
from maskrcnn_jax.data.importers.coco import to_coco
from maskrcnn_jax.data.importers.cvat import read_cvat
from maskrcnn_jax.data.importers.division import agreed_categories, divide
from maskrcnn_jax.data.importers.instances import read_instances
from maskrcnn_jax.data.importers.labelme import read_labelme
from maskrcnn_jax.data.importers.via import read_via
from maskrcnn_jax.data.importers.writing import annotation_file, write_splits
from maskrcnn_jax.errors import InputError, did_you_mean, exits_on_input_error

_ASIDE = "val"


@dataclass(frozen=True, kw_only=True)
class Arguments(abc.ABC):
    # What to read: a folder or a file, as the format has it.
    source: tyro.conf.Positional[Path]
    # The data set: images go to OUT/SPLIT, annotations to OUT/annotations.
    out: Path
    # The name of what is read, but for cityscapes, where it says what to read.
    split: str = "train"

    @abc.abstractmethod
    def read(self) -> Annotated: ...

    def divided(self, images: Sequence[AnnotatedImage]) -> dict[str, Sequence[AnnotatedImage]]:
        return {self.split: images}


@dataclass(frozen=True, kw_only=True)
class CityscapesArguments(Arguments):
    def read(self) -> Annotated:
        return read_cityscapes(self.source, split=self.split)


@dataclass(frozen=True, kw_only=True)
class ToolArguments(Arguments):
    # The share of the images that goes to the split "val" instead; 0: none.
    val_share: float = 0.0
    # Where the images lie, if not beside the annotations.
    images: Path | None = None

    def divided(self, images: Sequence[AnnotatedImage]) -> dict[str, Sequence[AnnotatedImage]]:
        if not self.val_share:
            return super().divided(images)
        if self.split == _ASIDE:
            raise InputError(f"--val-share fills {_ASIDE!r}; give the rest another --split.")
        kept, aside = divide(images, self.val_share)
        return {self.split: kept, _ASIDE: aside}


@dataclass(frozen=True, kw_only=True)
class LabelmeArguments(ToolArguments):
    # The label of shapes without one.
    unlabelled: str | None = None

    def read(self) -> Annotated:
        return read_labelme(self.source, images=self.images, unlabelled=self.unlabelled)


@dataclass(frozen=True, kw_only=True)
class ViaArguments(ToolArguments):
    # The region attribute that holds the label, where there are several.
    attribute: str | None = None
    # The label of regions without one.
    unlabelled: str | None = None

    def read(self) -> Annotated:
        return read_via(
            self.source,
            images=self.images,
            attribute=self.attribute,
            unlabelled=self.unlabelled,
        )


@dataclass(frozen=True, kw_only=True)
class CvatArguments(ToolArguments):
    def read(self) -> Annotated:
        return read_cvat(self.source, images=self.images)


@dataclass(frozen=True, kw_only=True)
class InstancesArguments(ToolArguments):
    # Names of the classes: of one, each number is an object; of several, they are 1000, 2000, ...
    classes: tuple[str, ...] = ()

    def read(self) -> Annotated:
        return read_instances(self.source, images=self.images, classes=self.classes)


_FORMATS: dict[str, type[Arguments]] = {
    "labelme": LabelmeArguments,
    "via": ViaArguments,
    "cvat": CvatArguments,
    "instances": InstancesArguments,
    "cityscapes": CityscapesArguments,
}


def import_data(arguments: Arguments) -> None:
    """Reads, divides, writes, and says what was done."""
    if arguments.out.resolve().is_relative_to(arguments.source.resolve()):
        raise InputError(f"--out {arguments.out}: lies in what is read; give another folder.")
    annotated = arguments.read()
    check_names(annotated.images)
    images = arguments.divided(annotated.images)
    written = {annotation_file(arguments.out, split) for split in images}
    others = sorted({*(arguments.out / "annotations").glob("instances_*.json")} - written)
    categories = agreed_categories(annotated.categories, others)
    if not categories:
        raise InputError(f"{arguments.source}: there is no object with an area, so no category.")
    left_out = annotated.left_out
    contents = {split: to_coco(found, categories, left_out) for split, found in images.items()}
    write_splits(arguments.out, images, contents)
    for split, content in contents.items():
        print(
            f"{annotation_file(arguments.out, split)}: {len(content['images'])} images, "
            f"{len(content['annotations'])} objects, {len(categories)} categories"
        )
    _report_changes(annotated.images, left_out)
    for split in contents:
        print(f"now check it: python -m maskrcnn_jax.data.check {arguments.out} --split {split}")


def _report_changes(images: Sequence[AnnotatedImage], left_out: Counter[str]) -> None:
    num_turned = sum(image.picture.is_turned for image in images)
    if num_turned:
        print(f"written upright, as they were shown (EXIF): {num_turned} images")
    for what, number in sorted(left_out.items()):
        print(f"left out: {number} x {what}")


@exits_on_input_error
def main() -> None:
    """Reads the command line: what there is to give depends on the format."""
    options = sys.argv[1:]
    if not options or options[0] in ("-h", "--help"):
        asks_names = cli.help_topic(options) == cli.NAMES
        print("\n".join(_FORMATS) if asks_names else __doc__)
        sys.exit(0 if options else 2)
    name = options[0]
    if name not in _FORMATS:
        raise InputError(f"there is no format {name!r}.{did_you_mean(name, _FORMATS)}")
    kind = _FORMATS[name]
    import_data(
        cli.parse(
            kind,
            options[1:],
            prog=f"python -m maskrcnn_jax.data.importers {name}",
            description=f"Writes a data set of {name} in COCO layout: docs/importing.md.",
            default=kind(source=tyro.MISSING, out=tyro.MISSING),
        )
    )


if __name__ == "__main__":
    main()
