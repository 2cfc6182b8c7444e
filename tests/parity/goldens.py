"""Goldens: what Detectron2 and MMDetection computed in float64.

A golden is an npz with the resized image, ``resized_rgb``, and samples of everything that came out:

* Features: for each level the shape (NCHW), the mean of each channel and the pixel in the middle.
* Proposals after NMS, ``proposal_boxes``, with their logits (Detectron2) or probabilities.
* Detections in the resized image, ``det_*``, and in the original one, ``final_*``, with the first
  masks as probabilities and all as RLE (Detectron2); or in the resized image alone (MMDetection,
  which also tells how the image was normalised: ``input_is_rgb``, ``mean``, ``std``).
* Of a training step (Detectron2) on every anchor and every one of 300 proposals: the objects with
  masks of the resized image, the losses, and for each trained parameter the norm and the first
  entries of its gradient, in PyTorch's layout.

NAME.shapes.json beside NAME.npz has the shapes of all weights, made by ``seeded``.
"""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import SIZE_MULTIPLE, MaskRCNNConfig
from maskrcnn_jax.pixels import PixelConfig
from maskrcnn_jax.structures import Batch, GroundTruth
from tests.parity.ours import sampling_everything

Golden = Mapping[str, np.ndarray]

_NUM_TRAIN_PROPOSALS = 300


class _Arrays(dict[str, np.ndarray]):
    """The arrays of a file; asking for one that is not there is an InputError."""

    def __init__(self, path: Path, arrays: Golden):
        super().__init__(arrays)
        self._path = path

    def __missing__(self, name: str) -> np.ndarray:
        raise InputError(f"{self._path} is not a whole golden: it has no array {name!r}")


def read_golden(path: Path) -> Golden:
    """All arrays of the file."""
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            return _Arrays(path, dict(arrays))
    except (ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not a readable npz file: {error}") from None


def find_shapes(path: Path) -> Path:
    """The file of shapes beside a golden; a training step shares that of the inference."""
    stem = path.with_suffix("")
    untrained = str(stem).removesuffix("_train")
    candidates = [Path(f"{name}.shapes.json") for name in (stem, f"{untrained}_a", untrained)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"{candidates[0]} does not exist: say with --shapes where the shapes are")


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight."""
    try:
        shapes = json.loads(path.read_text())
        return {name: tuple(int(side) for side in shape) for name, shape in shapes.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no JSON object of names and shapes: {error}") from None


def is_training(golden: Golden) -> bool:
    """Whether the golden is one of a training step."""
    return any(name.startswith("loss_") for name in golden)


def adapted(config: AnyDetectorConfig, golden: Golden) -> AnyDetectorConfig:
    """The config with what belongs to the golden rather than to the model."""
    if "input_is_rgb" in golden:
        pixels = PixelConfig(
            order="rgb" if golden["input_is_rgb"] else "bgr",
            mean=tuple(golden["mean"].tolist()),
            std=tuple(golden["std"].tolist()),
        )
        return dataclasses.replace(config, pixels=pixels)
    if is_training(golden) and isinstance(config, MaskRCNNConfig):
        return sampling_everything(
            config,
            num_proposals=_NUM_TRAIN_PROPOSALS,
            num_positives=len(golden["mask_roi_boxes"]),
        )
    return config


def batch_of(golden: Golden) -> Batch:
    """The golden's image, padded as the peers do, with its objects if it has any."""
    image = golden["resized_rgb"]
    height, width = image.shape[:2]
    below, right = -height % SIZE_MULTIPLE, -width % SIZE_MULTIPLE
    arrays: dict[str, Any] = {
        "images": np.pad(image, ((0, below), (0, right), (0, 0)))[None],
        "sizes": np.array([[height, width]]),
        "indices": np.zeros(1, np.int64),
        "valid": np.ones(1, bool),
    }
    return Batch(**arrays, ground_truth=_truth_of(golden, height=height, width=width))


def _truth_of(golden: Golden, *, height: int, width: int) -> GroundTruth:
    """Masks are those of the whole image."""
    boxes = golden.get("gt_boxes", np.zeros((0, 4)))
    packed = golden.get("gt_masks_packed", np.zeros((0, height, 1), np.uint8))
    arrays: dict[str, Any] = {
        "boxes": boxes,
        "labels": golden.get("gt_classes", np.zeros(0, np.int64)),
        "masks": np.unpackbits(packed, axis=-1, count=width).astype(bool),
        "mask_frames": np.tile([0.0, 0.0, width, height], (len(boxes), 1)),
        "valid": np.ones(len(boxes), bool),
    }
    return GroundTruth(**{name: x[None] for name, x in arrays.items()})
