"""The TFDS builder that every data set of this package derives from."""

import functools
import itertools
import math
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from maskrcnn_jax.data.records import Dataset, ImageIndex
from maskrcnn_jax.data.storage import codec
from maskrcnn_jax.data.storage.quiet import quiet_tfds

# The images of a shard are in memory while it is written: this many take about 0.1 to 0.7 GB.
_PIXELS_PER_SHARD = 250_000_000


class RecordBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Stores the records of one split, in their order. A subclass says where they come from.

    ``GeneratorBasedBuilder`` would need TensorFlow for more than 1 GB of data: even where it is
    not to shuffle, it writes what exceeds that to temporary files through ``tf.io``.
    """

    VERSION = tfds.core.Version("1.1.0")  # of what codec.py writes

    def __init__(self, *, configuration: str, cache_dir: Path | None):
        """``cache_dir=None``: ``$TFDS_DATA_DIR``, or else ``~/tensorflow_datasets``."""
        self._metadata = tfds.core.MetadataDict()  # written when the records have been
        with quiet_tfds():
            super().__init__(
                data_dir=cache_dir and cache_dir.expanduser(),
                config=tfds.core.BuilderConfig(name=configuration),
                file_format="array_record",
            )

    @abstractmethod
    def read(self, dl_manager: tfds.download.DownloadManager) -> Dataset:
        """Returns the data set to store. Its records are read from many threads, each once."""

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=codec.FEATURES, metadata=self._metadata, disable_shuffling=True
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[[], Iterator[tuple[int, dict[str, Any]]]]]]:
        dataset = self.read(dl_manager)
        labels: list[tuple[int, ...]] = [()] * len(dataset.images)  # filled while storing
        self._metadata.update(codec.to_metadata(dataset, labels=labels))
        shards = _shards(dataset.images)
        return {
            codec.SPLIT: [functools.partial(_examples, dataset, labels, shard) for shard in shards]
        }


def _shards(images: ImageIndex) -> list[range]:
    """Cuts the data set into runs of about equally many images."""
    pixels = np.sum(images.heights.astype(np.int64) * images.widths)
    num_shards = min(math.ceil(pixels / _PIXELS_PER_SHARD), len(images))
    cuts = [len(images) * i // num_shards for i in range(num_shards + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(cuts)]


def _examples(
    dataset: Dataset, labels: list[tuple[int, ...]], shard: range
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a shard, whose labels are noted in ``labels`` as they pass."""
    total = len(dataset.images)
    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,
        tqdm.tqdm(
            desc=f"Storing {dataset.name} {dataset.split}",
            unit=" images",
            initial=shard.start,
            total=total,
            leave=shard.stop == total,
        ) as progress,
    ):
        for index, record in zip(
            shard, threads.map(dataset.records.__getitem__, shard), strict=True
        ):
            labels[index] = record.labels()
            yield index, codec.to_example(record)
            progress.update()
