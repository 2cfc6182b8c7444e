"""What a data set hands out: records with exact annotations, and an index of all images.

A record keeps the annotation file's own values (XYWH boxes in pixels of the original image, the
segmentation as it was written), so that ground truth for evaluation is rebuilt without loss. Only
the category is translated: ``label`` counts the categories in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from maskrcnn_jax.data.federation import Federation

# Polygons [[x, y, x, y, ...], ...] or a COCO RLE {"size": [h, w], "counts": str | list[int]}.
Segmentation: TypeAlias = list[list[float]] | dict


@dataclass(frozen=True, kw_only=True)
class Category:
    id: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Annotation:
    id: int
    label: int  # index into Dataset.categories
    box: tuple[float, float, float, float]  # XYWH
    area: float
    is_crowd: bool
    segmentation: Segmentation


@dataclass(frozen=True, kw_only=True)
class Record:
    image_id: int
    file_name: str
    image: bytes  # encoded (JPEG, PNG, ...), as it was in the file
    height: int
    width: int
    annotations: tuple[Annotation, ...]

    def labels(self) -> tuple[int, ...]:
        """The labels of its objects, without crowds, each once, in increasing order."""
        return tuple(sorted({item.label for item in self.annotations if not item.is_crowd}))


@dataclass(frozen=True, kw_only=True)
class DroppedAnnotation:
    """A well-formed annotation that covers nothing: in no record, but still in the ground truth."""

    image: int  # index of its image
    annotation: Annotation
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImageIndex:
    """One entry for each record, known without reading any. All arrays have the same length."""

    ids: np.ndarray  # int64
    file_names: tuple[str, ...]
    heights: np.ndarray  # int32
    widths: np.ndarray  # int32
    num_objects: np.ndarray  # int32, without crowds

    def __len__(self) -> int:
        return len(self.ids)


class RecordSource(Protocol):
    """Random access; safe to use from many threads and to send to worker processes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Record: ...


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One split of a data set. ``images[i]`` describes ``records[i]``.

    ``semantic_folder`` is where semantic maps of the images are looked for, if any are asked for.
    ``labels[i]`` are ``records[i].labels()``. They are known once the records have been stored,
    for then all have been read. ``federation`` is what makes a data set one of LVIS.
    """

    name: str
    split: str
    categories: Sequence[Category]
    images: ImageIndex
    records: RecordSource
    dropped: tuple[DroppedAnnotation, ...] = ()
    labels: tuple[tuple[int, ...], ...] | None = None
    semantic_folder: Path | None = None
    federation: Federation | None = None
