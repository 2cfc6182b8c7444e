"""What is made of an image and its detections: a picture, a map of the objects, cut-outs.

In a folder OUT an image named A/B.jpg becomes

    OUT/A/B.png               the picture
    OUT/maps/A/B.png          16 bits: 0, or the number of the object
    OUT/cutouts/A/B/1_dog.png  RGBA, for each object

The number of an object is its place among all detections of its image, best first, from 1: the
place that it has in results.json, whatever else is left out.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.files import write_bytes
from maskrcnn_jax.inference.options import Output
from maskrcnn_jax.inference.places import check_targets
from maskrcnn_jax.visualization import draw_detections

_NEED_MASKS = ("maps", "cutouts")


def check_outputs(
    outputs: Collection[Output], images: Mapping[Path, Path], *, out: Path, has_masks: bool
) -> None:
    """Refuses what a detector without masks cannot give, and files that would meet.

    ``images`` are by the names of their pictures.
    """
    for output in _NEED_MASKS:
        if output in outputs and not has_masks:
            raise InputError(f"--save {output} needs masks, and this detector finds boxes alone")
        if {output, "pictures"} <= {*outputs} and any(name.parts[0] == output for name in images):
            raise InputError(
                f"pictures of the images in a folder {output!r} would lie among what --save "
                f"{output} writes; rename that folder"
            )
    for output in outputs:
        inputs = images.values()
        if output == "cutouts":  # what lies in a folder of cut-outs may be removed
            inputs = {path.parent for path in inputs}
        check_targets((_target(out, name, output) for name in images), inputs)


def _target(folder: Path, name: Path, output: Output) -> Path:
    """The file or, for cut-outs, the folder that an output of an image is written to."""
    if output == "pictures":
        return folder / name
    return folder / output / (name.with_suffix("") if output == "cutouts" else name)


def write_outputs(
    folder: Path,
    name: Path,
    image: UInt8[np.ndarray, "h w 3"],
    found: ImageDetections,
    *,
    shown: np.ndarray,
    outputs: Sequence[Output],
) -> None:
    """Writes what is wanted of the detections with indices ``shown``; ``name`` ends in .png."""
    if "pictures" in outputs:
        _write_png(_target(folder, name, "pictures"), picture(image, found.select(shown)))
    if "maps" in outputs:
        size = (image.shape[0], image.shape[1])
        _write_png(_target(folder, name, "maps"), instance_map(found, shown, size=size))
    if "cutouts" in outputs:
        _write_cutouts(_target(folder, name, "cutouts"), image, found, shown)


def picture(image: UInt8[np.ndarray, "h w 3"], found: ImageDetections) -> np.ndarray:
    """The image with all of these detections drawn on it."""
    return draw_detections(
        image,
        boxes=found.boxes,
        labels=found.labels,
        scores=found.scores,
        masks=found.masks,
        names=found.class_names,
    )


def instance_map(
    found: ImageDetections, shown: np.ndarray, *, size: Size
) -> UInt16[np.ndarray, "h w"]:
    """The number of the object that each pixel belongs to, 0 for none.

    Where masks overlap it is that of the higher score, as in ``ops.paste.instance_map``.
    """
    numbers = np.zeros(size, np.uint16)
    for index in sorted(shown.tolist(), reverse=True):
        x, y, mask = rle.decode_extent(_segmentations(found)[index])
        patch = numbers[y : y + mask.shape[0], x : x + mask.shape[1]]
        patch[mask == 1] = index + 1
    return numbers


def cutout(
    image: UInt8[np.ndarray, "h w 3"], found: ImageDetections, index: int
) -> UInt8[np.ndarray, "y x 4"]:
    """The image inside the box of a detection, opaque where its mask is.

    The box is rounded outwards to whole pixels.
    """
    x1, y1, x2, y2 = found.boxes[index].tolist()
    window = slice(math.floor(y1), math.ceil(y2)), slice(math.floor(x1), math.ceil(x2))
    mask = rle.decode(_segmentations(found)[index])
    return np.dstack([image[window], np.where(mask[window], 255, 0).astype(np.uint8)])


def _write_cutouts(
    folder: Path, image: np.ndarray, found: ImageDetections, shown: np.ndarray
) -> None:
    labels = [re.sub(r"\W+", "_", name) for name in found.class_names]
    of_before = re.compile(rf"[1-9]\d*_({'|'.join(labels)})\.png")
    for path in folder.glob("*.png"):
        if of_before.fullmatch(path.name):
            path.unlink()
    for index in shown.tolist():
        name = f"{index + 1}_{labels[found.labels[index]]}.png"
        _write_png(folder / name, cutout(image, found, index))


def _segmentations(found: ImageDetections) -> list[dict]:
    if found.segmentations is None:
        raise ValueError("these detections have no masks")
    return found.segmentations


def _write_png(path: Path, image: np.ndarray) -> None:
    """RGB, RGBA or one channel."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    if image.ndim == 3:
        image = cv2.cvtColor(image, order[image.shape[2]])
    _, encoded = cv2.imencode(".png", image)
    write_bytes(path, encoded.tobytes())
