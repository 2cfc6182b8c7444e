"""Random access to the records of a stored data set."""

import json
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from maskrcnn_jax.data.records import Dataset, Record
from maskrcnn_jax.data.storage import codec


class StoredRecords:
    """Records of a stored data set. Worker processes are sent its folder, and open it again."""

    def __init__(self, folder: Path):
        self._folder = folder
        builder: Any = tfds.builder_from_directory(folder)  # its decorators hide its types
        self._examples = builder.as_data_source(split=codec.SPLIT, decoders=codec.DECODERS)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(f"{self} has {len(self)} records, but no number {index}")
        return codec.from_example(self._examples[index])

    def __reduce__(self) -> tuple[type["StoredRecords"], tuple[Path]]:
        return StoredRecords, (self._folder,)

    def __repr__(self) -> str:
        """Is the same wherever the cache lies: grain compares it when it restores a checkpoint."""
        return f"StoredRecords({'/'.join(self._folder.parts[-3:])})"


def open_dataset(folder: Path) -> Dataset:
    """Opens a stored data set without reading any record."""
    metadata = json.loads((folder / "metadata.json").read_bytes())
    return codec.from_metadata(metadata, StoredRecords(folder))
