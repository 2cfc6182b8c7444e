"""From the detector's output to COCO results: original frame, pasted masks, original ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from maskrcnn_jax.data.records import Category, Record
from maskrcnn_jax.errors import InputError, did_you_mean
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.structures import Detections


@dataclass(frozen=True, kw_only=True, repr=False)
class ImageDetections:
    """What was found in one image, in pixels of the original image, best first, no padding."""

    boxes: np.ndarray  # float [n, 4], XYXY
    scores: np.ndarray  # float [n], of the boxes
    mask_scores: np.ndarray  # float [n], the same unless a head has judged the masks
    labels: np.ndarray  # int [n], in [0, K)
    segmentations: list[dict] | None  # n compressed RLEs; None for a detector without masks
    # Where they are known: (height, width) of the image, and the names of the K classes.
    size: tuple[int, int] | None = None
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        found = (f"{name} {score:.2f}" for name, score in zip(self.names, self.scores, strict=True))
        return f"<{len(self)} detections: {', '.join(found)}>" if len(self) else "<0 detections>"

    @property
    def names(self) -> list[str]:
        """The class of each detection by name, or by number where names are not known."""
        return [self.class_names[i] if self.class_names else str(i) for i in self.labels]

    @property
    def masks(self) -> rle.DecodedMasks | None:
        """n masks bool [height, width], decoded when asked for; ``np.asarray`` has them all."""
        if self.segmentations is None:
            return None
        return rle.DecodedMasks(self.segmentations, size=self.size or (0, 0))

    def select(self, kept: np.ndarray) -> "ImageDetections":
        """These detections alone: indices, in the order given, or one bool for each."""
        kept = np.arange(len(self))[kept]
        arrays = {name: getattr(self, name)[kept] for name in _ARRAYS}
        segmentations = self.segmentations and [self.segmentations[i] for i in kept]
        return replace(self, **arrays, segmentations=segmentations)

    def passing(self, *, min_score: float = 0.0, classes: Collection[str] = ()) -> np.ndarray:
        """Indices of what scores enough and is of one of these classes; of any if none is given."""
        check_class_names(classes, known=self.class_names)
        is_wanted = [not classes or name in classes for name in self.names]
        return np.flatnonzero((self.scores >= min_score) & np.array(is_wanted, bool))


_ARRAYS = ("boxes", "scores", "mask_scores", "labels")


def check_class_names(names: Collection[str], *, known: Collection[str]) -> None:
    """Refuses a name that no class has."""
    for name in names:
        if name not in known:
            raise InputError(f"there is no class {name!r}.{did_you_mean(name, known)}")


def in_original_frame(
    detections: Detections,
    *,
    resized: Sequence[int],
    original: Sequence[int],
    paste: Literal["exact", "whole_pixels"],
    class_names: tuple[str, ...] = (),
) -> ImageDetections:
    """Takes the detections of one image (no batch axis) back to the image as it was in its file.

    ``resized`` is the (height, width) of the real pixels that the network saw, ``original`` that of
    the file. Each axis is scaled by its own exact ratio, then boxes are clipped to the image and
    those left without area dropped (Detectron2, modeling/postprocessing.py); masks are pasted into
    their frames, or those in ``whole_pixels``. Invalid entries disappear here.
    """
    (height, width), (resized_height, resized_width) = original, resized
    height, width = int(height), int(width)
    scale = np.tile([width / int(resized_width), height / int(resized_height)], 2)
    boxes = np.clip(np.asarray(detections.boxes) * scale, 0, [width, height, width, height])
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    kept = np.flatnonzero(np.asarray(detections.valid) & has_area)
    masks, frames = np.asarray(detections.masks), np.asarray(detections.mask_frames) * scale
    segmentations = None
    if masks.shape[-1]:
        pasted = [(masks[i], frames[i]) for i in kept]
        if paste == "whole_pixels":
            pasted = [in_whole_pixels(*pair) for pair in pasted]
        segmentations = [rle.encode_pasted(m, f, height=height, width=width) for m, f in pasted]
    return ImageDetections(
        boxes=boxes[kept],
        scores=np.asarray(detections.scores)[kept],
        mask_scores=np.asarray(detections.mask_scores)[kept],
        labels=np.asarray(detections.labels)[kept],
        segmentations=segmentations,
        size=(height, width),
        class_names=class_names,
    )


def in_whole_pixels(mask: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A mask [k, l] with a border of zeros, and the box it then covers, cut to whole pixels.

    The box grows with the mask and its corners are cut towards zero; the last pixel is counted in
    (torchvision, roi_heads.py: ``paste_masks_in_image``).
    """
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    half = half * (np.array(mask.shape[::-1]) + 2) / np.array(mask.shape[::-1])
    low, high = np.trunc(centre - half), np.trunc(centre + half)
    return np.pad(mask, 1), np.concatenate([low, np.maximum(high, low) + 1])


def annotated_objects(record: Record) -> ImageDetections:
    """The ground truth of an image in the same form, with scores of 1; crowds are left out.

    For pictures: it shows what a perfect detector would find.
    """
    objects = [item for item in record.annotations if not item.is_crowd]
    boxes = np.array([item.box for item in objects], np.float64).reshape(-1, 4)
    return ImageDetections(
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        scores=np.ones(len(objects)),
        mask_scores=np.ones(len(objects)),
        labels=np.array([item.label for item in objects], np.int64),
        segmentations=[
            rle.compressed(item.segmentation, height=record.height, width=record.width)
            for item in objects
        ],
        size=(record.height, record.width),
    )


def coco_records(
    detections: ImageDetections, *, image_id: int, categories: Sequence[Category]
) -> list[dict]:
    """Records of a COCO results file, best first: XYWH boxes, the data set's own category ids.

    Numbers keep full precision, so that scoring the written file equals scoring these records. A
    detector without masks gives records without ``segmentation``; ``mask_score`` is there only
    where it differs from ``score``, and other programs pass it over.
    """
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    boxes = np.concatenate([detections.boxes[:, :2], sides], axis=1)
    records = [
        {
            "image_id": int(image_id),
            "category_id": categories[label].id,
            "bbox": box.tolist(),
            "score": float(score),
        }
        for label, box, score in zip(detections.labels, boxes, detections.scores, strict=True)
    ]
    if detections.segmentations is not None:
        masks = zip(records, detections.segmentations, detections.mask_scores, strict=True)
        for record, segmentation, mask_score in masks:
            record["segmentation"] = segmentation
            if mask_score != record["score"]:
                record["mask_score"] = float(mask_score)
    return records
