"""Reads an exported file, and runs it as a detector from its weights is run."""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.export
import numpy as np

from maskrcnn_jax import out_of_memory
from maskrcnn_jax.convert.files import npz
from maskrcnn_jax.convert.files.archive import Archive
from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.metadata import parse_json
from maskrcnn_jax.data.images import check_pixels, read_image
from maskrcnn_jax.data.rle import encode
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.evaluation.rle import encode_pasted
from maskrcnn_jax.exporting.archive import DESCRIPTION, FORMAT, WEIGHTS
from maskrcnn_jax.exporting.program import Weights

_ADVICE = "Give it fewer images at once, or export it for smaller --sizes or with --masks crops"


def is_exported(path: Path) -> bool:
    """Whether this is a file of export.py, as far as its list of contents tells."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return DESCRIPTION in archive.namelist()


def load_exported(path: Path) -> "ExportedDetector":
    """Reads a file of export.py. Raises InputError, with its name, for anything else."""
    try:
        with path.open("rb") as file:
            archive = Archive(file, file_size=path.stat().st_size)
            return _load(archive)
    except ContentError as error:
        raise InputError(f"{path}: {error}.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: {DESCRIPTION} is not as export.py writes it: {error!r}."
        ) from None


class Program(NamedTuple):
    """``run(weights, images)`` takes ``num_images``, or any number of them if that is None."""

    run: Callable[[Weights, np.ndarray], dict[str, jax.Array]]
    num_images: int | None


@dataclass(frozen=True, kw_only=True)
class ExportedDetector:
    """Finds objects in one image at a time; images have one of the sizes that were exported."""

    # The names of the classes, in the order of their labels.
    categories: tuple[str, ...]
    programs: Mapping[Size, Program]
    weights: Weights

    def __call__(self, image: np.ndarray | str | Path) -> ImageDetections:
        """What is in an image: RGB, uint8, [height, width, 3], or a file, which is read upright."""
        name = "the image"
        if isinstance(image, str | Path):
            name, image = str(image), read_image(Path(image))
        check_pixels(image)
        size = (image.shape[0], image.shape[1])
        self._check_size(size, name=name)
        outputs = {key: x[0] for key, x in self.run(image[None]).items()}
        return _image_detections(outputs, size, class_names=self.categories)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs, which ``docs/export.md`` lists, for uint8 [b, height, width, 3]."""
        count, size = len(images), (images.shape[1], images.shape[2])
        self._check_size(size, name="each image")
        program = self.programs[size]
        missing = 0 if program.num_images is None else program.num_images - count
        if missing < 0:
            raise InputError(f"{count} images are more than the {program.num_images} it takes")
        filled = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        with out_of_memory.explained(_ADVICE):
            outputs = jax.device_get(program.run(self.weights, filled))
        return {name: x[:count] for name, x in outputs.items()}

    def _check_size(self, size: Size, *, name: str) -> None:
        if size not in self.programs:
            raise InputError(
                f"{name} is {_shown(size)} (height x width), but the detector was exported for "
                f"{', '.join(map(_shown, self.programs))}: resize the image, or export with "
                f"--sizes {size[0]} {size[1]}"
            )


def _load(archive: Archive) -> ExportedDetector:
    description = parse_json(_entry(archive, DESCRIPTION), encoding="utf-8")
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ContentError(f"is no {FORMAT}: export it again with this version")
    weights = io.BytesIO(_entry(archive, WEIGHTS))
    tensors, _ = npz.read(Archive(weights, file_size=len(weights.getbuffer())))
    return ExportedDetector(
        categories=tuple(category["name"] for category in description["categories"]),
        programs={
            (program["height"], program["width"]): _program(archive, program["file"])
            for program in description["programs"]
        },
        weights=jax.device_put(tensors),
    )


def _program(archive: Archive, name: str) -> Program:
    content = bytearray(_entry(archive, name))
    try:
        exported = jax.export.deserialize(content)
    except (ValueError, NotImplementedError, struct.error) as error:
        text = f"has a program that JAX {jax.__version__} cannot read: {error}; export it again"
        raise ContentError(text) from error
    count = exported.in_avals[-1].shape[0]
    return Program(jax.jit(exported.call), count if isinstance(count, int) else None)


def _entry(archive: Archive, name: str) -> bytes:
    if name not in archive.entries:
        raise ContentError(f"is no file of export.py: it has no entry {name!r}")
    return archive.read(name).tobytes()


def _image_detections(
    outputs: Mapping[str, np.ndarray], size: Size, *, class_names: tuple[str, ...]
) -> ImageDetections:
    """Of one image: without padding, its masks as RLE."""
    found = {name: x[outputs["valid"]] for name, x in outputs.items()}
    segmentations = None
    if "mask_frames" in found:
        pairs = zip(found["masks"], found["mask_frames"], strict=True)
        segmentations = [
            encode_pasted(mask, frame, height=size[0], width=size[1]) for mask, frame in pairs
        ]
    elif "masks" in found:
        segmentations = [encode(mask) for mask in found["masks"]]
    return ImageDetections(
        boxes=found["boxes"],
        scores=found["scores"],
        mask_scores=found.get("mask_scores", found["scores"]),
        labels=found["classes"],
        segmentations=segmentations,
        size=size,
        class_names=class_names,
    )


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
