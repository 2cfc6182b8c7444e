"""The storages that a pickle of torch refers to; their content lies elsewhere in the file."""

from typing import Any

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.shapes import is_count
from maskrcnn_jax.convert.files.tensors import Storage


class StorageTable:
    """Storages by key, collected while the pickle is read."""

    def __init__(self):
        self.by_key: dict[str, Storage] = {}

    def refer(self, reference: Any) -> Storage:
        """Takes ("storage", class, key, device, size), in old files with a view behind."""
        match reference:
            case ("storage", np.dtype() as dtype, str() as key, _, size, *view) if is_count(size):
                pass
            case (str() as kind, *_):
                raise ContentError(
                    f"refers to a {kind!r:.100} outside of the pickle; only storages can be"
                )
            case _:
                raise ContentError("refers to something outside of the pickle that is no storage")
        storage = self.by_key.setdefault(key, Storage(key, dtype, size))
        if storage.dtype != dtype or storage.size != size:
            raise ContentError(f"describes the storage {key!r:.100} in two ways")
        return _view(storage, *view) if view and view[0] is not None else storage

    def num_bytes(self, key: str) -> int:
        return self.by_key[key].size * self.by_key[key].dtype.itemsize


def _view(storage: Storage, view: Any, *_: Any) -> Storage:
    match view:
        case (_, start, size) if is_count(start) and is_count(size):
            if start + size <= storage.size:
                return Storage(storage.key, storage.dtype, size, start)
    raise ContentError(f"describes a view that does not lie in the storage {storage.key!r:.100}")
