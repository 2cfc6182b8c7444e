"""torch's layout before version 1.6: five pickles, then the storages one behind the other.

Format: pytorch, torch/serialization.py (``_legacy_save``, ``_legacy_load``).
"""

from typing import Any

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.source import Source
from maskrcnn_jax.convert.files.state_dict import find_tensors, to_arrays
from maskrcnn_jax.convert.files.storages import StorageTable
from maskrcnn_jax.convert.files.unpickler import unpickle

_MAGIC = 0x1950A86A20F9469CFC6C


def is_magic(value: Any) -> bool:
    """Whether a file whose first pickle holds this value has this layout."""
    return type(value) is int and value == _MAGIC


def read(source: Source) -> dict[str, np.ndarray]:
    """Reads what follows the magic number."""
    version, system = unpickle(source), unpickle(source)
    if version != 1001 or not isinstance(system, dict):
        raise ContentError("has an unknown version of torch's old layout")
    if system.get("little_endian") is not True:
        raise ContentError("was written by a big-endian machine; save it again on another")
    storages = StorageTable()
    root = unpickle(source, refer=storages.refer)
    contents = _read_storages(source, storages)

    def content(key: str) -> np.ndarray:
        if key not in contents:
            raise ContentError(f"has no storage {key!r:.100}")
        return contents[key]

    return to_arrays(find_tensors(root), content, file_size=source.size)


def _read_storages(source: Source, storages: StorageTable) -> dict[str, np.ndarray]:
    """Each is preceded by its number of elements."""
    keys = unpickle(source)
    if not isinstance(keys, list):
        raise ContentError("has no list of its storages")
    contents = {}
    for key in keys:
        if not isinstance(key, str) or key not in storages.by_key or key in contents:
            raise ContentError("has a storage that belongs to no tensor, or twice the same")
        size = int.from_bytes(source.take(8).tobytes(), "little", signed=True)
        if size != storages.by_key[key].size:
            raise ContentError(
                f"has a storage {key!r:.100} of {size} elements, where its pickle claims "
                f"{storages.by_key[key].size}"
            )
        contents[key] = source.take(storages.num_bytes(key))
    return contents
