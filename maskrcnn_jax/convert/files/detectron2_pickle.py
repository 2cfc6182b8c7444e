"""Detectron2's pickle of numpy arrays.

Format: detectron2, detectron2/checkpoint/detection_checkpoint.py (``_load_file``).
"""

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.dtypes import raw_bytes
from maskrcnn_jax.convert.files.pickle_writer import call, known, plain
from maskrcnn_jax.convert.files.state_dict import find_tensors, to_arrays


def read(root: Any, *, file_size: int) -> dict[str, np.ndarray]:
    """Takes what the file's pickle holds."""

    def content(key: str) -> np.ndarray:
        raise ContentError(f"has no storage {key!r:.100}")

    return to_arrays(find_tensors(root), content, file_size=file_size)


def write(file: BinaryIO, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes {"model": tensors, "__author__": ...}, for numpy 1 and 2."""
    file.write(pickle.PROTO + b"\4" + pickle.EMPTY_DICT + pickle.MARK)
    file.write(plain("model") + pickle.EMPTY_DICT + pickle.MARK)
    for name, array in tensors.items():
        file.write(plain(name) + _empty_array() + pickle.MARK)
        file.write(plain(1) + plain(array.shape) + _dtype(array.dtype) + plain(False))
        file.write(pickle.BINBYTES8 + array.nbytes.to_bytes(8, "little"))
        file.write(raw_bytes(array))
        file.write(pickle.TUPLE + pickle.BUILD)
    file.write(pickle.SETITEMS + plain("__author__") + plain("maskrcnn-jax"))
    file.write(pickle.SETITEMS + pickle.STOP)


def _empty_array() -> bytes:
    """Under the name of numpy 1, which numpy 2 still knows."""
    array_class = known("numpy.ndarray")
    return call("numpy.core.multiarray._reconstruct", array_class, plain((0,)), plain(b"b"))


def _dtype(dtype: np.dtype) -> bytes:
    """The state is version, byte order, and what only structured dtypes have."""
    order, name = dtype.str[0], dtype.str[1:]
    state = plain((3, order, None, None, None, -1, -1, 0))
    return call("numpy.dtype", plain(name), plain(False), plain(True)) + state + pickle.BUILD
