"""Data sets as ArrayRecord files, written once by TFDS (without TensorFlow) and read at random.

A stored data set is a folder, ``<cache>/<builder>/<configuration>/<version>/``, with one split.
TFDS writes to a folder of another name beside it and renames that at the end: what is there is
whole, however a build ended, and of two builds at the same time one is thrown away.
"""

from maskrcnn_jax.data.storage.builder import RecordBuilder
from maskrcnn_jax.data.storage.prepare import stored_dataset
from maskrcnn_jax.data.storage.reader import StoredRecords

__all__ = ["RecordBuilder", "StoredRecords", "stored_dataset"]
