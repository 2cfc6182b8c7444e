"""Image files: which there are, and what is found in them, one after the other."""

import os
from collections import Counter
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
from maskrcnn_jax.inference.places import Place
from maskrcnn_jax.inference.predictor import Predictor, Views


class ImageFile(NamedTuple):
    """An image as it was read."""

    path: Path
    version: Version
    image: UInt8[np.ndarray, "h w 3"]
    views: Views


def find_images(places: Sequence[Place]) -> dict[Path, Path]:
    """The images at all places, by the names (relative paths) that their pictures get.

    That is the path from the folder that was given. Images that would share it are called by their
    path from the folder which all places have in common, and keep their suffix.
    """
    own: dict[Path, Path] = {}  # names by images
    for place in places:
        for path in place.images:
            own.setdefault(path, path.relative_to(place.folder).with_suffix(".png"))
    times = Counter(own.values())
    common = os.path.commonpath([os.path.abspath(place.folder) for place in places])
    found: dict[Path, Path] = {}
    for path, name in own.items():
        if times[name] > 1:
            longer = Path(os.path.relpath(path, common))
            name = longer if longer.suffix == ".png" else longer.with_name(f"{longer.name}.png")
        if found.setdefault(name, path) != path:
            raise InputError(f"{path} and {found[name]} would both become {name}; rename one")
    return found


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
