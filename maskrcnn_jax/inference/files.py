"""Image files: which there are, and what is found in them, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.images import read_image
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.inference.batches import batched, read_ahead
from maskrcnn_jax.inference.journal import Version
from maskrcnn_jax.inference.predictor import Predictor, Views

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ImageFile(NamedTuple):
    """An image as it was read."""

    path: Path
    version: Version
    image: UInt8[np.ndarray, "h w 3"]
    views: Views


def find_images(places: Sequence[Path], *, out: Path) -> dict[Path, Path]:
    """The images at all places, by the name (relative path) that their pictures get in ``out``.

    Pictures from before, in a folder ``out`` among the images, are none of them.
    """
    if not places:
        raise InputError("give images, or folders of images")
    found: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise InputError(f"{place}: there is no such image or folder")
        for path in _images_in(place, out=out) if place.is_dir() else [place]:
            name = path.relative_to(place) if place.is_dir() else Path(path.name)
            name = name.with_suffix(".png") if path.suffix.lower() != ".png" else name
            if found.setdefault(name, path) != path:
                raise InputError(f"{path} and {found[name]} would both become {name}; rename one")
            if (out / name).absolute() == path.absolute():
                raise InputError(f"{path} would be replaced by its picture; give another --out")
    return found


def _images_in(folder: Path, *, out: Path) -> list[Path]:
    inside, results = folder.absolute(), out.absolute()
    if inside == results:
        raise InputError(f"--out {out} is the folder of the images; give another one")
    images = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not (results.is_relative_to(inside) and path.absolute().is_relative_to(results))
    )
    if not images:
        raise InputError(f"{folder}: no images ({', '.join(SUFFIXES)}) in this folder")
    return images


def predict_files(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    batch_size: int,
    on_error: Callable[[Path, Exception], None],
) -> Iterator[tuple[ImageFile, ImageDetections]]:
    """What is found in each image, in the order in which batches of one padded size are full.

    What cannot be read, or is of no use to the detector, is told to ``on_error`` and passed over.
    """
    files: dict[int, ImageFile] = {}  # those whose results are to come

    def read(index: int) -> ImageFile | Exception:
        try:
            return read_file(paths[index], predictor, index=index)
        except (InputError, OSError) as error:
            return error

    def examples() -> Iterator[Views]:
        indices = range(len(paths))
        threads = predictor.config.num_threads
        reading = read_ahead(read, indices, num_threads=threads, ahead=2 * batch_size)
        for index, file in zip(indices, reading, strict=True):
            if isinstance(file, Exception):
                on_error(paths[index], file)
            else:
                files[index] = file
                yield file.views

    def original_size(index: int) -> tuple[int, int]:
        height, width = files[index].image.shape[:2]
        return height, width

    batches = batched(examples(), batch_size)
    for index, found in predictor.predict(batches, original_size=original_size):
        yield files.pop(index), found


def read_file(path: Path, predictor: Predictor, *, index: int) -> ImageFile:
    """Reads an image, and makes it ready for the detector."""
    version = Version.of(path)  # before it is read: what is written meanwhile is another
    image = read_image(path)
    views = predictor.views(image, name=str(path), index=index)
    return ImageFile(path=path, version=version, image=image, views=views)
