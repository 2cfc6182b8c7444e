"""Photographs, and of each an image in which every object has a number, as in Penn-Fudan.

With one class, each number but 0 is an object. With several, object n of class c, both counted as
in Cityscapes but for the classes, which begin with 1, is 1000 c + n; a number below 1000 says
no class.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tqdm

from maskrcnn_jax.data.importers.annotated import Annotated, AnnotatedImage, check_label, numbered
from maskrcnn_jax.data.importers.id_images import draw_object, read_ids
from maskrcnn_jax.data.importers.image_files import SUFFIXES, look_at
from maskrcnn_jax.errors import InputError

_PER_CLASS = 1000


def read_instances(source: Path, *, images: Path | None, classes: Sequence[str]) -> Annotated:
    """All PNG files below ``source``, with the images of the same sub-folders of ``images``.

    The name of a file of numbers is that of its image, or begins with it: ``a_mask.png``.
    """
    if images is None or not classes:
        raise InputError("give the folder of the images with --images, and --classes NAME ...")
    names = [check_label(name, "--classes", unlabelled=None) for name in classes]
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".png")
    if not paths:
        raise InputError(f"{source}: is no folder with PNG files that number objects; give that.")
    stems = _by_stem(images)
    found = tuple(
        _read_image(path, source, images=images, stems=stems, classes=names)
        for path in tqdm.tqdm(paths, desc="Reading", unit=" images", disable=None)
    )
    return Annotated(categories=numbered(names), images=found)


def _by_stem(images: Path) -> dict[str, Path]:
    """The images of a folder by their names without suffix."""
    stems: dict[str, Path] = {}
    for path in sorted(images.rglob("*")):
        if path.suffix in SUFFIXES:
            other = stems.setdefault(path.relative_to(images).with_suffix("").as_posix(), path)
            if other != path:
                raise InputError(
                    f"{other}: is told from {path.name} by its suffix alone; keep photographs and "
                    "images of numbers in folders of their own, and one photograph of each name."
                )
    return stems


def _read_image(
    path: Path, source: Path, *, images: Path, stems: dict[str, Path], classes: list[str]
) -> AnnotatedImage:
    stem = path.relative_to(source).with_suffix("").as_posix()
    name = next((stem[:end] for end in _ends(stem) if stem[:end] in stems), None)
    if name is None:
        raise InputError(f"{path}: there is no image in {images} with the beginning of its name.")
    ids = read_ids(path, mend="write one whose pixels are the numbers of objects")
    height, width = ids.shape
    return AnnotatedImage(
        name=name,
        picture=look_at(stems[name], str(path), noted=(height, width)),
        drawings=tuple(
            draw_object(ids, id, path, label=_label(id, classes, where=f"{path}: {id}"))
            for id in np.unique(ids).tolist()
            if id
        ),
    )


def _ends(stem: str) -> list[int]:
    """Where the name of the image may end: before what is neither letter nor digit."""
    return [len(stem), *(i for i in range(len(stem) - 1, 0, -1) if not stem[i].isalnum())]


def _label(id: int, classes: list[str], *, where: str) -> str:
    if len(classes) == 1:
        return classes[0]
    if not 1 <= id // _PER_CLASS <= len(classes):
        raise InputError(
            f"{where}: says none of the {len(classes)} classes; object n of class c is "
            f"{_PER_CLASS} c + n, and classes count from 1."
        )
    return classes[id // _PER_CLASS - 1]
