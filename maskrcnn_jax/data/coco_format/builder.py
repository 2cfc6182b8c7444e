"""The TFDS builder of data sets in COCO layout."""

from collections.abc import Callable
from pathlib import Path

import tensorflow_datasets as tfds

from maskrcnn_jax.data.coco_format.files import read_files
from maskrcnn_jax.data.coco_format.layout import SplitFiles
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.storage import RecordBuilder


class CocoFormat(RecordBuilder, skip_registration=True):
    """One split, with polygons, RLE of either kind, crowds, and images without objects."""

    def __init__(
        self,
        locate: Callable[[tfds.download.DownloadManager], SplitFiles],
        *,
        configuration: str,
        cache_dir: Path | None,
    ):
        """``locate`` finds or downloads the files; it is called only when they must be stored."""
        self._locate = locate
        super().__init__(configuration=configuration, cache_dir=cache_dir)

    def read(self, dl_manager: tfds.download.DownloadManager) -> Dataset:
        return read_files(self._locate(dl_manager))
