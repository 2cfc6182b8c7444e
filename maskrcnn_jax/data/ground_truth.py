"""A data set back in COCO's own words: for pycocotools, and as files to look at."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.records import Annotation, Category, Dataset
from maskrcnn_jax.files import write_bytes, write_json


def ground_truth(dataset: Dataset, indices: Iterable[int] | None = None) -> dict[str, Any]:
    """Returns what ``pycocotools.coco.COCO`` takes as its ``dataset``, with the original ids.

    Values are those of the annotation file. Dropped annotations are among them, so that AP is what
    pycocotools gives for that file. ``indices`` selects images; None takes all.
    """
    dropped: dict[int, list[Annotation]] = {}
    for item in dataset.dropped:
        dropped.setdefault(item.image, []).append(item.annotation)
    images, annotations = [], []
    for index in range(len(dataset.images)) if indices is None else indices:
        record = dataset.records[index]
        images.append(
            {
                "id": record.image_id,
                "file_name": record.file_name,
                "height": record.height,
                "width": record.width,
            }
        )
        annotations += [
            _annotation(annotation, dataset.categories[annotation.label], record.image_id)
            for annotation in (*record.annotations, *dropped.get(index, ()))
        ]
    categories = [{"id": category.id, "name": category.name} for category in dataset.categories]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco_folder(dataset: Dataset, folder: Path) -> None:
    """Writes ``<folder>/<split>/`` and then ``<folder>/annotations/instances_<split>.json``."""
    for index in range(len(dataset.images)):
        record = dataset.records[index]
        write_bytes(folder / dataset.split / record.file_name, record.image)
    write_json(folder / "annotations" / f"instances_{dataset.split}.json", ground_truth(dataset))


def _annotation(annotation: Annotation, category: Category, image_id: int) -> dict[str, Any]:
    return {
        "id": annotation.id,
        "image_id": image_id,
        "category_id": category.id,
        "bbox": list(annotation.box),
        "area": annotation.area,
        "iscrowd": int(annotation.is_crowd),
        "segmentation": annotation.segmentation,
    }
