"""Reads a file of weights, whatever it is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from maskrcnn_jax.convert.files import (
    detectron2_pickle,
    npz,
    safetensors,
    torch_legacy,
    torch_zip,
)
from maskrcnn_jax.convert.files.archive import Archive
from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.source import Source
from maskrcnn_jax.convert.files.unpickler import unpickle
from maskrcnn_jax.errors import InputError

EXPORTED = "detector.json"  # the entry of a zip file that shows it to be of export.py
_DATA_PARALLEL = "module."
_PICKLES = (b"\x80", b"(", b"c", b"}", b"]", b")")  # the last five begin one of protocol 0 or 1


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """What a file holds. The arrays are read-only, and may share memory where the file does."""

    tensors: dict[str, np.ndarray]  # by the names in the file, without DataParallel's "module."
    metadata: dict[str, str] = field(default_factory=dict)  # of safetensors and our npz


def read_tensors(path: Path) -> TensorFile:
    """Reads npz, safetensors, torch's ``.pth`` (old and new) or Detectron2's ``.pkl``.

    The content says which of them it is, not the name. Of a pickle the tensors of the dict itself
    are read, or those under "model", "state_dict" or "model_state"; the rest is ignored. Raises
    InputError, with the file's name, for everything that is not as it must be; nothing in the file
    is run.
    """
    try:
        if path.exists() and not path.is_file():
            raise ContentError("is a folder or a device, not a file of weights")
        with path.open("rb") as file:
            content = _read(file)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist.") from None
    except ContentError as error:
        raise InputError(f"{path}: {error}.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (MemoryError, RecursionError) as error:
        raise InputError(f"{path}: is too large or too deep for this machine.") from error
    for array in content.tensors.values():
        array.flags.writeable = False
    return content


def _read(file: BinaryIO) -> TensorFile:
    source = Source(file)
    start = source.read(16)
    if not start:
        raise ContentError("is empty")
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        archive = Archive(file, file_size=source.size)
        if torch_zip.is_torch(archive):
            return _named(torch_zip.read(archive))
        if EXPORTED in archive.entries:
            raise ContentError(
                "is a file of export.py, which runs by itself (docs/export.md); give what it was "
                "made from: weights or a work directory"
            )
        return _named(*npz.read(archive))
    source.rewind()
    if safetensors.is_safetensors(start):
        return _named(*safetensors.read(source))
    if start.startswith(_PICKLES):
        root = unpickle(source)
        if torch_legacy.is_magic(root):
            return _named(torch_legacy.read(source))
        return _named(detectron2_pickle.read(root, file_size=source.size))
    raise ContentError(
        "is none of the files that can be read: npz, safetensors, torch's .pth, Detectron2's .pkl"
    )


def _named(tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> TensorFile:
    if not tensors:
        raise ContentError("holds no tensors")
    if all(name.startswith(_DATA_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_DATA_PARALLEL): array for name, array in tensors.items()}
    return TensorFile(tensors=tensors, metadata=metadata or {})
