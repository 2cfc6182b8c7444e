"""Pictures of ground truth and detections, small enough to be part of the page."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.images import decode_image, resize_image
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.scenes import read_pixels
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.evaluation.ground_truth import CocoTruth
from maskrcnn_jax.visualization import draw_detections

# Larger images are shrunk to this side: what a column of the page shows on a dense screen.
_LONGEST_SIDE = 640
_WEBP_QUALITY = 80

# Gives the pixels, RGB, of an image by its id.
ImageSource: TypeAlias = Callable[[int], UInt8[np.ndarray, "h w 3"]]


def images_of(dataset: Dataset) -> ImageSource:
    """The images of a data set, by their ids."""
    indices = {int(image_id): index for index, image_id in enumerate(dataset.images.ids)}
    return lambda image_id: read_pixels(dataset.records[indices[image_id]])


def images_in(folder: Path, truth: CocoTruth) -> ImageSource:
    """The images of an annotation file, which must all be in a folder, by their ids."""
    missing = [name for name in truth.file_names.values() if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(truth.file_names)} images are not here, for example "
            f"{missing[0]!r}; give the folder in which the annotations' file names start"
        )

    def read(image_id: int) -> UInt8[np.ndarray, "h w 3"]:
        path = folder / truth.file_names[image_id]
        return decode_image(path.read_bytes(), name=str(path), size=truth.image_sizes[image_id])

    return read


def draw_objects(
    image: np.ndarray, truth: CocoTruth, indices: Sequence[int], *, names: Sequence[str]
) -> np.ndarray:
    """The chosen objects of the ground truth."""
    objects = [truth.objects[index] for index in indices]
    return _draw(
        image,
        boxes=[item.box for item in objects],
        category_ids=[item.category_id for item in objects],
        segmentations=[item.segmentation for item in objects],
        truth=truth,
        names=names,
    )


def draw_results(
    image: np.ndarray,
    truth: CocoTruth,
    records: Sequence[dict],
    *,
    scores: Sequence[float],
    names: Sequence[str],
) -> np.ndarray:
    """Result records with their scores; without masks where they have none."""
    masks = [item["segmentation"] for item in records if "segmentation" in item]
    return _draw(
        image,
        boxes=[item.get("bbox") or rle.extent(item["segmentation"]) for item in records],
        category_ids=[item["category_id"] for item in records],
        segmentations=masks if len(masks) == len(records) else None,
        scores=scores,
        truth=truth,
        names=names,
    )


def data_uri(picture: np.ndarray) -> str:
    """RGB as WebP, which all browsers show, in the text of an address."""
    _, encoded = cv2.imencode(
        ".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY]
    )
    return f"data:image/webp;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _draw(
    image: np.ndarray,
    *,
    boxes: Sequence[Sequence[float]],
    category_ids: Sequence[int],
    segmentations: Sequence[dict] | None,
    truth: CocoTruth,
    names: Sequence[str],
    scores: Sequence[float] | None = None,
) -> np.ndarray:
    """Image and shapes are shrunk first, so that lines and letters keep their size."""
    scale = min(1.0, _LONGEST_SIDE / max(image.shape[:2]))
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    corners = np.array(boxes, np.float64).reshape(-1, 4) * scale
    corners[:, 2:] += corners[:, :2]
    labels = {category.id: label for label, category in enumerate(truth.categories)}
    masks = None
    if segmentations is not None:
        masks = [_shrunk(rle.decode(item), (height, width)) for item in segmentations]
    return draw_detections(
        resize_image(image, (height, width)),
        boxes=corners,
        labels=np.array([labels[key] for key in category_ids], int),
        names=names,
        scores=None if scores is None else np.asarray(scores),
        masks=masks,
    )


def _shrunk(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A pixel belongs to the mask where half of what it covers does."""
    if mask.shape == size:
        return mask
    shares = cv2.resize(mask.astype(np.uint8) * 255, size[::-1], interpolation=cv2.INTER_AREA)
    return shares >= 128
