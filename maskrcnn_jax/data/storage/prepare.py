"""Builds a data set if it is not stored yet, and opens it."""

from pathlib import Path

from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.storage.builder import RecordBuilder
from maskrcnn_jax.data.storage.quiet import quiet_tfds
from maskrcnn_jax.data.storage.reader import open_dataset
from maskrcnn_jax.errors import InputError


def stored_dataset(builder: RecordBuilder) -> Dataset:
    """Returns what ``builder`` stores; builds it first, once.

    Raises:
      InputError: what is to be stored is invalid, or it cannot be written.
    """
    folder = Path(builder.data_dir)
    with quiet_tfds():
        if not builder.is_prepared():
            try:
                builder.download_and_prepare()
            except OSError as error:
                # Another process may have stored the same while this one was at it.
                if not builder.is_prepared():
                    raise InputError(
                        f"{folder}: the data set cannot be stored there: {error}. Choose another "
                        "folder with cache_dir, or with the environment variable TFDS_DATA_DIR."
                    ) from error
        return open_dataset(folder)
