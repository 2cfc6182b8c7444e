"""What torchvision and this project both compute: the images, the objects, and how to compare."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask

from maskrcnn_jax.convert import torchvision
from maskrcnn_jax.convert.weights import from_state_dict
from maskrcnn_jax.evaluation.results import ImageDetections
from maskrcnn_jax.maskrcnn import SIZE_MULTIPLE, MaskRCNNConfig
from maskrcnn_jax.structures import Batch, GroundTruth
from tests.parity import ours
from tests.parity.comparison import Difference
from tests.parity.golden_comparison import compare_training
from tests.parity.goldens import read_shapes
from tests.parity.scenes import Scene, scene
from tests.parity.seeded import seeded_tensors

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class TrainingCase:
    """A batch of images of one ``size`` (height, width), each with its own number of objects.

    ``num_proposals`` of each image survive NMS.
    """

    size: tuple[int, int]
    num_objects: tuple[int, ...]
    num_proposals: int

    def inputs(self) -> Arrays:
        """Slots that are not ``gt_valid`` are zeros."""
        scenes = [
            _scene(1 + index, size=self.size, num_objects=count)
            for index, count in enumerate(self.num_objects)
        ]
        slots = np.arange(max(self.num_objects))
        return {
            "images": np.stack([scene.image for scene in scenes]),
            "gt_boxes": _stack([scene.boxes for scene in scenes], len(slots)),
            "gt_classes": _stack([scene.labels for scene in scenes], len(slots)),
            "gt_masks": _stack([scene.masks for scene in scenes], len(slots)),
            "gt_valid": slots < np.array(self.num_objects)[:, None],
        }


DATA = Path(__file__).with_name("data")
SHAPES = DATA / "torchvision_inference.shapes.json"

# The slots of an image with nothing to be learnt.
NO_OBJECTS: Arrays = {
    "gt_boxes": np.zeros((1, 0, 4)),
    "gt_classes": np.zeros((1, 0), np.int64),
    "gt_masks": np.zeros((1, 0, 1, 1), bool),
    "gt_valid": np.zeros((1, 0), bool),
}

# Of the goldens. In both padded sizes torchvision spaces the cells of level 6 by less than 64
# pixels, in the second one more closely down than across.
GOLDEN_SIZE = (150, 200)
GOLDEN_TRAINING = TrainingCase(size=(130, 180), num_objects=(5, 3), num_proposals=200)


def prediction_inputs(seed: int, *, size: tuple[int, int]) -> Arrays:
    """One image to find something in."""
    return {"resized_rgb": _scene(seed, size=size, num_objects=6).image}


def seeded_variables(config: MaskRCNNConfig, *, shapes: Path = SHAPES) -> Any:
    """The detector's variables in float64, seeded by torchvision's names."""
    weights = from_state_dict(seeded_tensors(read_shapes(shapes)), where="seeded weights")
    return ours.load(weights, config=config)


def checksum(inputs: Mapping[str, np.ndarray]) -> int:
    """CRC-32 of all arrays: the goldens are worth nothing for another input."""
    return zlib.crc32(b"".join(inputs[name].tobytes() for name in sorted(inputs)))


def compare_step(
    variables: Any,
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    *,
    config: MaskRCNNConfig,
    num_proposals: int,
) -> list[Difference]:
    """Losses and gradients of a batch against torchvision's ``outputs``."""
    config = ours.sampling_everything(
        config, num_proposals=num_proposals, num_positives=int(outputs["num_mask_rois"].max())
    )
    losses, gradients = ours.gradients(variables, batch_of(inputs), config=config)
    return compare_training(losses, torchvision.NAMING.to_theirs(gradients), outputs)


def batch_of(inputs: Mapping[str, np.ndarray]) -> Batch:
    """The batch as our detector takes it: padded as in torchvision, with masks of whole images."""
    images, boxes = inputs["images"], inputs["gt_boxes"]
    count, height, width = images.shape[:3]
    below, right = -height % SIZE_MULTIPLE, -width % SIZE_MULTIPLE
    truth: dict[str, Any] = {
        "boxes": boxes,
        "labels": inputs["gt_classes"],
        "masks": inputs["gt_masks"],
        "mask_frames": np.tile([0.0, 0.0, width, height], (*boxes.shape[:2], 1)),
        "valid": inputs["gt_valid"],
    }
    arrays: dict[str, Any] = {
        "images": np.pad(images, ((0, 0), (0, below), (0, right), (0, 0))),
        "sizes": np.tile([height, width], (count, 1)),
        "indices": np.arange(count),
        "valid": np.ones(count, bool),
    }
    return Batch(**arrays, ground_truth=GroundTruth(**truth))


def golden_of(inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> Arrays:
    """Torchvision's inference in the form of ``goldens``; the image is not resized afterwards."""
    found = detections_of(inputs, outputs)
    counts = [segmentation["counts"] for segmentation in found.segmentations or []]
    return {
        **inputs,
        **{name: x for name, x in outputs.items() if name != "final_masks_packed"},
        "original_hw": np.array(inputs["resized_rgb"].shape[:2]),
        "final_boxes": found.boxes,
        "final_scores": found.scores,
        "final_classes": found.labels,
        "final_mask_rle": np.array(counts),
    }


def detections_of(
    inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> ImageDetections:
    """What torchvision found in an image."""
    width = inputs["resized_rgb"].shape[1]
    masks = np.unpackbits(outputs["final_masks_packed"], axis=-1, count=width)
    return ImageDetections(
        boxes=outputs["det_boxes_resized"],
        scores=outputs["det_scores"],
        mask_scores=outputs["det_scores"],
        labels=outputs["det_classes"],
        segmentations=[_rle(mask) for mask in masks],
    )


def _scene(seed: int, *, size: tuple[int, int], num_objects: int) -> Scene:
    height, width = size
    return scene(seed, height=height, width=width, num_objects=num_objects, num_classes=90)


def _stack(values: Sequence[np.ndarray], num_slots: int) -> np.ndarray:
    """[b, slots, ...] with zeros after the last value of each image."""
    stacked = np.zeros((len(values), num_slots, *values[0].shape[1:]), values[0].dtype)
    for row, x in zip(stacked, values, strict=True):
        row[: len(x)] = x
    return stacked


def _rle(mask: np.ndarray) -> dict:
    coco: Any = pycocotools.mask
    encoded = coco.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}
