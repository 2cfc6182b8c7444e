"""Semantic maps of images: a class for every pixel, things and stuff, as COCO-Stuff has them.

Each is a PNG of one channel of 8 bits, named and sized like its image; 255 is a pixel of which
nothing is known (``stuffthingmaps_trainval2017.zip`` of COCO-Stuff).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.image_header import read_header
from maskrcnn_jax.data.records import Dataset, Record
from maskrcnn_jax.data.scenes import Scene
from maskrcnn_jax.data.sizes import Size, Window
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.structures import SEMANTIC_STRIDE, UNKNOWN_LABEL


@dataclass(frozen=True, kw_only=True)
class SemanticMaps:
    """The maps of a folder. Classes are below ``num_labels``."""

    folder: Path
    num_labels: int

    def path(self, image: str) -> Path:
        """The map of an image with this file name. Raises ``InputError`` if it is not there."""
        path = (self.folder / image).with_suffix(".png")
        if not path.is_file():
            raise InputError(
                f"{path}: no such file, which should be the map of {image}. Add it, or choose "
                "another roi.semantic.target, such as the masks of the objects"
            )
        return path

    def read(self, record: Record) -> UInt8[np.ndarray, "h w"]:
        """The map of an image. Raises ``InputError`` that names the file, and the mend."""
        path = self.path(record.file_name)
        labels = _decode(path, (record.height, record.width))
        wrong = np.argwhere((labels >= self.num_labels) & (labels != UNKNOWN_LABEL))
        if len(wrong):
            row, column = wrong[0].tolist()
            raise InputError(
                f"{path}: class {labels[row, column]} in row {row}, column {column}; the classes "
                f"are 0 to {self.num_labels - 1}, and {UNKNOWN_LABEL} for unknown. Correct the "
                "map, or give the number of classes with --input.semantic-labels"
            )
        return labels


def semantic_maps(dataset: Dataset, config: InputConfig) -> SemanticMaps | None:
    """The maps of a data set, or None where the config asks for none."""
    if config.semantic_labels is None:
        return None
    folder = dataset.semantic_folder
    if folder is None or not folder.is_dir():
        place = "ROOT/stuffthingmaps/SPLIT of --data.root ROOT" if folder is None else str(folder)
        raise InputError(
            f"{dataset.name} {dataset.split} has no semantic maps, for which --input."
            f"semantic-labels asks: {place} should hold them, one PNG for each image, such as "
            "those of stuffthingmaps_trainval2017.zip"
        )
    return SemanticMaps(folder=folder, num_labels=config.semantic_labels)


def require_every_map(dataset: Dataset, config: InputConfig) -> None:
    """Raises ``InputError`` if the config asks for maps and an image has none."""
    maps = semantic_maps(dataset, config)
    if maps is not None:
        for name in dataset.images.file_names:
            maps.path(name)


def with_map(scene: Scene, labels: UInt8[np.ndarray, "h w"], window: Window) -> Scene:
    """The scene of a window of an image with the map of the whole image."""
    left, top, right, bottom = window
    return replace(scene, semantic_map=labels[top:bottom, left:right])


def resize_map(labels: UInt8[np.ndarray, "h w"], size: Size) -> UInt8[np.ndarray, "h2 w2"]:
    """Every new pixel has the class of the old one in which its centre lies.

    A centre on an edge belongs to the pixel that begins there; OpenCV's "nearest" leaves that open.
    """
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns]


def pad_map(labels: UInt8[np.ndarray, "h w"], size: Size) -> UInt8[np.ndarray, "h2 w2"]:
    """Puts the map at the top left of what is unknown."""
    padded = np.full(size, UNKNOWN_LABEL, np.uint8)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    return padded


def cells_of_map(labels: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "y x"]:
    """The first pixel of each cell."""
    return labels[::SEMANTIC_STRIDE, ::SEMANTIC_STRIDE]


def _decode(path: Path, size: Size) -> UInt8[np.ndarray, "h w"]:
    encoded = path.read_bytes()
    try:
        header = read_header(encoded)
    except ValueError:
        header = None
    if header is None or header.format != "PNG":
        raise InputError(f"{path}: not a readable PNG. Replace it")
    if header.size != size:
        raise InputError(
            f"{path}: the map is {header.size[0]}x{header.size[1]} (height x width), its image "
            f"{size[0]}x{size[1]}. Replace it with the map of this image, not resized"
        )
    if (header.colours, header.bits, header.has_alpha) != ("grey", 8, False):
        raise InputError(
            f"{path}: not a PNG of one channel of 8 bits without a palette. Save it as such, the "
            "class of a pixel being its value"
        )
    labels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise InputError(f"{path}: the PNG is damaged. Replace it")
    return labels
