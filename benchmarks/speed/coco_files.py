"""Data sets and results in COCO's format, drawn from a seed."""

from pathlib import Path

import cv2
import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.inputs import Size
from maskrcnn_jax.evaluation import rle
from maskrcnn_jax.files import write_json

NUM_CLASSES = 80
_CORNERS = 24  # of a polygon, as many as an object of COCO has


def write_data_set(folder: Path, *, num_images: int, size: Size, objects_per_image: int) -> None:
    """The split ``train`` as JPEG files, with polygons."""
    (folder / "train").mkdir(parents=True)
    for image_id in range(num_images):
        picture = inputs.picture(size, seed=image_id)
        cv2.imwrite(str(folder / "train" / f"{image_id}.jpg"), picture)
    write_annotations(
        folder / "annotations/instances_train.json",
        num_images=num_images,
        size=size,
        objects_per_image=objects_per_image,
    )


def write_annotations(path: Path, *, num_images: int, size: Size, objects_per_image: int) -> None:
    """Ellipses as polygons; a tenth of them are crowds, as RLE."""
    annotations = []
    for image_id in range(num_images):
        boxes = inputs.regions(objects_per_image, size, seed=image_id)
        labels = np.random.default_rng(image_id).integers(NUM_CLASSES, size=len(boxes))
        for box, label in zip(boxes.astype(float), labels.tolist(), strict=True):
            is_crowd = len(annotations) % 10 == 9
            outline = _ellipse(box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": _xywh(box),
                    "area": float(np.prod(box[2:] - box[:2]) * np.pi / 4),
                    "iscrowd": int(is_crowd),
                    "segmentation": _rle(outline, size) if is_crowd else [outline],
                }
            )
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": size[0], "width": size[1]}
            for i in range(num_images)
        ],
        "categories": [{"id": k + 1, "name": f"class {k}"} for k in range(NUM_CLASSES)],
        "annotations": annotations,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)


def write_results(
    path: Path, *, num_images: int, size: Size, objects_per_image: int, per_image: int
) -> None:
    """Detections: a few near the objects of ``write_annotations``, the others anywhere."""
    results = []
    for image_id in range(num_images):
        rng = np.random.default_rng(image_id)
        truth = inputs.regions(objects_per_image, size, seed=image_id)
        true_labels = rng.integers(NUM_CLASSES, size=objects_per_image)
        near = np.arange(per_image) % objects_per_image
        boxes = np.where(
            (np.arange(per_image) < 3 * objects_per_image)[:, None],
            truth[near] * (1 + 0.05 * rng.standard_normal((per_image, 1))),
            inputs.regions(per_image, size, seed=num_images + image_id),
        ).astype(float)
        boxes = np.clip(boxes, 0, [size[1], size[0], size[1], size[0]])
        labels = np.where(
            rng.random(per_image) < 0.7,
            true_labels[near],
            rng.integers(NUM_CLASSES, size=per_image),
        )
        for box, label, score in zip(boxes, labels.tolist(), rng.random(per_image), strict=True):
            results.append(
                {
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": _xywh(box),
                    "score": float(score),
                    "segmentation": _rle(_ellipse(box), size),
                }
            )
    write_json(path, results)


def _ellipse(box: np.ndarray) -> list[float]:
    """Polygon of the ellipse in a box."""
    angles = np.arange(_CORNERS) * 2 * np.pi / _CORNERS
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return ((box[:2] + box[2:]) / 2 + around * (box[2:] - box[:2]) / 2).round(2).ravel().tolist()


def _rle(outline: list[float], size: Size) -> dict:
    return rle.compressed([outline], height=size[0], width=size[1])


def _xywh(box: np.ndarray) -> list[float]:
    return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
