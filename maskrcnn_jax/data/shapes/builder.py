"""The TFDS builder of the shapes."""

from pathlib import Path

import tensorflow_datasets as tfds

from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.shapes.records import DrawnRecords, drawn_dataset
from maskrcnn_jax.data.storage import RecordBuilder


class Shapes(RecordBuilder, skip_registration=True):
    """One split; the name of its configuration holds all that its records depend on."""

    VERSION = tfds.core.Version("1.1.0")  # of what is drawn, and of what codec.py writes

    def __init__(self, records: DrawnRecords, *, cache_dir: Path | None):
        self._records = records
        name = f"{records.num_images}x{records.image_size}px-seed{records.seed}-{records.split}"
        super().__init__(configuration=name, cache_dir=cache_dir)

    def read(self, dl_manager: tfds.download.DownloadManager) -> Dataset:
        del dl_manager  # nothing to download
        return drawn_dataset(self._records)
