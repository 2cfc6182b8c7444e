"""Configurations of data sets in COCO layout. ``build`` stores a split once, and opens it."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from maskrcnn_jax.data.category_labels import labelled_by_id
from maskrcnn_jax.data.coco_format.builder import CocoFormat
from maskrcnn_jax.data.coco_format.download import SPLITS, download_split
from maskrcnn_jax.data.coco_format.layout import find_split, fingerprint, semantic_folder
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.storage import stored_dataset
from maskrcnn_jax.errors import InputError, did_you_mean

# Labels count the categories that there are, in the order of their ids, or are the ids less one.
Labels: TypeAlias = Literal["contiguous", "category_ids"]


@dataclass(frozen=True, kw_only=True)
class CocoFormatConfig:
    """A folder with ``annotations/instances_<split>.json`` and the images; see ``layout.py``.

    A split is stored again when its annotation file changes or the folder moves. An image file
    that is replaced under the same name is not noticed: delete the stored data set then.
    """

    root: Path
    train_split: str = "train"
    eval_split: str = "val"
    labels: Labels = "contiguous"
    # Where the stored data sets go. None: $TFDS_DATA_DIR, or else ~/tensorflow_datasets.
    cache_dir: Path | None = None

    def build(self, split: str) -> Dataset:
        return _labelled(_stored(self.root, split, cache_dir=self.cache_dir), self.labels)


@dataclass(frozen=True, kw_only=True)
class Coco2017Config:
    """The official COCO 2017, from a folder as above, or downloaded into the cache."""

    train_split: ClassVar[str] = "train2017"
    eval_split: ClassVar[str] = "val2017"
    root: Path | None = None
    labels: Labels = "contiguous"
    cache_dir: Path | None = None

    def build(self, split: str) -> Dataset:
        return _labelled(self._stored(split), self.labels)

    def _stored(self, split: str) -> Dataset:
        if self.root is not None:
            return _stored(self.root, split, cache_dir=self.cache_dir)
        if split not in SPLITS:
            raise InputError(f"COCO 2017 has no split {split!r}.{did_you_mean(split, SPLITS)}")
        return stored_dataset(
            CocoFormat(
                functools.partial(download_split, split),
                configuration=f"coco2017-{split}-official",
                cache_dir=self.cache_dir,
            )
        )


def _labelled(dataset: Dataset, labels: Labels) -> Dataset:
    return labelled_by_id(dataset) if labels == "category_ids" else dataset


def _stored(root: Path, split: str, *, cache_dir: Path | None) -> Dataset:
    files = find_split(root, split)
    builder = CocoFormat(
        lambda _: files,
        configuration=f"{files.name}-{files.split}-{fingerprint(files)}",
        cache_dir=cache_dir,
    )
    dataset = stored_dataset(builder)
    return dataclasses.replace(dataset, semantic_folder=semantic_folder(root, split))
