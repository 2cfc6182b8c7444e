"""Writes a file of weights."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from maskrcnn_jax.convert.files import detectron2_pickle, dtypes, npz, safetensors, torch_zip
from maskrcnn_jax.convert.files.metadata import METADATA
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import replaced

_NOT_IN_NAMES = re.compile("[\0\ud800-\udfff]")  # the end in a zip file; half a character
_DTYPES = {
    ".npz": dtypes.NUMPY.values(),
    ".pkl": dtypes.NUMPY.values(),
    ".pth": dtypes.TORCH.values(),
    ".safetensors": dtypes.SAFETENSORS.values(),
}


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes the container that the suffix names: .npz, .safetensors, .pth or .pkl.

    The file is written whole or not at all, and the same tensors in the same order give the same
    bytes. ``metadata`` are left out of a .pth or .pkl, which has no place for them. Raises
    InputError for another suffix, for a dtype that the container does not have and for names that
    no container can keep.
    """
    container = path.suffix.lower()
    if container not in _DTYPES:
        raise InputError(f"{path}: the suffix must be one of {', '.join(_DTYPES)}.")
    arrays = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    if not arrays:
        raise InputError(f"{path}: there are no tensors to write.")
    for name, array in arrays.items():
        _check_name(path, name)
        if array.dtype not in _DTYPES[container]:
            raise InputError(
                f"{path}: tensor {name!r} is {array.dtype}, which {container} has not."
            )
    with replaced(path) as file:
        match container:
            case ".npz":
                npz.write(file, arrays, metadata=metadata or {})
            case ".safetensors":
                safetensors.write(file, arrays, metadata=metadata or {})
            case ".pth":
                torch_zip.write(file, arrays)
            case ".pkl":
                detectron2_pickle.write(file, arrays)


def _check_name(path: Path, name: str) -> None:
    if not name or name == METADATA or _NOT_IN_NAMES.search(name):
        raise InputError(f"{path}: a tensor cannot have the name {name!r}.")
