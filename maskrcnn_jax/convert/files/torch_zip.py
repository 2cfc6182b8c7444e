"""torch's zip layout: a pickle, and each storage in an entry beside it.

Format: pytorch, torch/serialization.py (``_save``, ``_load``).
"""

import functools
import io
import itertools
import operator
import pickle
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from maskrcnn_jax.convert.files.archive import Archive, write_entry
from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.dtypes import TORCH, raw_bytes
from maskrcnn_jax.convert.files.pickle_writer import call, known, plain, tuple_of
from maskrcnn_jax.convert.files.state_dict import find_tensors, to_arrays
from maskrcnn_jax.convert.files.storages import StorageTable
from maskrcnn_jax.convert.files.unpickler import unpickle

_PICKLE = "/data.pkl"
_ALIGNMENT = 64  # of the storages, for those who map the file into memory
_ORDERED_DICT = call("collections.OrderedDict")
_CLASSES = {dtype: f"torch.{name}" for name, dtype in TORCH.items()}


def is_torch(archive: Archive) -> bool:
    """Whether torch wrote this zip file."""
    return any(name.endswith(_PICKLE) for name in archive.entries)


def read(archive: Archive) -> dict[str, np.ndarray]:
    """Reads the storages of the wanted tensors, and no other."""
    folder = next(name for name in archive.entries if name.endswith(_PICKLE))[: -len(_PICKLE)]
    for entry in archive.entries.values():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ContentError(f"has the packed entry {entry.filename!r:.200}; torch packs none")
    byte_order = f"{folder}/byteorder"  # files before torch 2.1 are without
    if byte_order in archive.entries and archive.read(byte_order).tobytes() != b"little":
        raise ContentError("was written by a big-endian machine; save it again on another")
    storages = StorageTable()
    root = unpickle(io.BytesIO(archive.read(folder + _PICKLE).data), refer=storages.refer)

    @functools.cache
    def content(key: str) -> np.ndarray:
        entry = f"{folder}/data/{key}"
        if entry not in archive.entries:
            raise ContentError(f"has no storage {key!r:.100}")
        content = archive.read(entry)
        if len(content) != storages.num_bytes(key):
            raise ContentError(
                f"has a storage {key!r:.100} of {len(content)} bytes, where its pickle claims "
                f"{storages.num_bytes(key)}"
            )
        return content

    return to_arrays(find_tensors(root), content, file_size=archive.file_size)


def write(file: BinaryIO, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes an ``OrderedDict`` of tensors, each with a storage of its own."""
    items = [
        plain(name) + _tensor(tensor, str(i)) for i, (name, tensor) in enumerate(tensors.items())
    ]
    content = b"".join(
        [pickle.PROTO, b"\2", _ORDERED_DICT, pickle.MARK, *items, pickle.SETITEMS, pickle.STOP]
    )
    with zipfile.ZipFile(file, "w") as archive:
        write_entry(archive, "archive/data.pkl", content)
        write_entry(archive, "archive/byteorder", b"little")
        for i, tensor in enumerate(tensors.values()):
            write_entry(archive, f"archive/data/{i}", raw_bytes(tensor), alignment=_ALIGNMENT)
        write_entry(archive, "archive/version", b"3\n")


def _tensor(tensor: np.ndarray, key: str) -> bytes:
    """The arguments are storage, offset, shape, strides, requires_grad and hooks."""
    storage_class = known(_CLASSES[tensor.dtype])
    reference = tuple_of(
        plain("storage"), storage_class, plain(key), plain("cpu"), plain(tensor.size)
    )
    steps = itertools.accumulate((max(n, 1) for n in tensor.shape[:0:-1]), operator.mul, initial=1)
    strides = tuple(steps)[::-1] if tensor.ndim else ()
    return call(
        "torch._utils._rebuild_tensor_v2",
        reference + pickle.BINPERSID,
        plain(0),
        plain(tensor.shape),
        plain(strides),
        plain(False),
        _ORDERED_DICT,
    )
