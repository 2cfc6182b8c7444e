"""The records of the shapes: each is a function of seed, split and index, and of nothing else."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from maskrcnn_jax.data.records import Annotation, Category, Dataset, ImageIndex, Record
from maskrcnn_jax.data.shapes.layout import MAX_SHAPES, Shape, draw_layout
from maskrcnn_jax.data.shapes.outlines import OUTLINES
from maskrcnn_jax.data.shapes.painting import paint

# Counted from 1, as in COCO; the label of a shape is its place in OUTLINES.
CATEGORIES = tuple(
    Category(id=label + 1, name=outline.__name__) for label, outline in enumerate(OUTLINES)
)
SPLITS = ("train", "val")


@dataclass(frozen=True, kw_only=True)
class DrawnRecords:
    """Draws a record whenever it is asked for."""

    split: str
    num_images: int
    image_size: int
    seed: int

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"{self} has no record {index}")
        layout_rng, paint_rng = self._generators(index)
        shapes = draw_layout(layout_rng, image_size=self.image_size)
        image, masks = paint(shapes, paint_rng, image_size=self.image_size)
        _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return Record(
            image_id=index + 1,
            file_name=f"{index + 1:06}.png",
            image=encoded.tobytes(),
            height=self.image_size,
            width=self.image_size,
            annotations=tuple(
                _annotation(shape, mask, annotation_id=index * MAX_SHAPES + i + 1)
                for i, (shape, mask) in enumerate(zip(shapes, masks, strict=True))
            ),
        )

    def num_objects(self, index: int) -> int:
        """Number of annotations of a record, without painting it."""
        return len(draw_layout(self._generators(index)[0], image_size=self.image_size))

    def _generators(self, index: int) -> list[np.random.Generator]:
        return np.random.default_rng([self.seed, SPLITS.index(self.split), index]).spawn(2)


def drawn_dataset(records: DrawnRecords) -> Dataset:
    """The records with their index."""
    places = range(len(records))
    sides = np.full(len(records), records.image_size, np.int32)
    images = ImageIndex(
        ids=np.arange(1, len(records) + 1),
        file_names=tuple(f"{place + 1:06}.png" for place in places),
        heights=sides,
        widths=sides,
        num_objects=np.array([records.num_objects(place) for place in places], np.int32),
    )
    return Dataset(
        name="shapes", split=records.split, categories=CATEGORIES, images=images, records=records
    )


def _annotation(shape: Shape, mask: np.ndarray, *, annotation_id: int) -> Annotation:
    rle: Any = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    x, y, width, height = map(float, coco_mask.toBbox(rle))
    return Annotation(
        id=annotation_id,
        label=shape.label,
        box=(x, y, width, height),
        area=float(mask.sum()),
        is_crowd=False,
        segmentation={"size": list(mask.shape), "counts": rle["counts"].decode("ascii")},
    )
