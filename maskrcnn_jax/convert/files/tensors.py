"""What a pickle says about a tensor: checked first, made into an array afterwards.

These objects stand for those of torch and numpy while a pickle is read. They keep whatever the
file gave them, of whatever type, and look at it only in ``check``, which only the tensors that are
wanted undergo. What else a checkpoint holds (an optimizer's state) is never looked at.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskrcnn_jax.convert.files import shapes
from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.dtypes import numpy_dtype

Contents = Callable[[str], np.ndarray]
"""Gives the bytes (uint8) of the storage with a key, as many as its ``Storage`` says."""


@dataclass(frozen=True, eq=False)
class Storage:
    """``size`` elements, from ``start`` on, of the storage with this key."""

    key: str
    dtype: np.dtype
    size: int
    start: int = 0


@dataclass(frozen=True, eq=False)
class TorchTensor:
    """A strided window into a storage; ``offset`` and ``strides`` count elements."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any

    def check(self) -> int:
        """Refuses what does not lie in its storage. Returns the number of bytes."""
        if not isinstance(self.storage, Storage):
            raise ContentError("has no storage")
        num_bytes = shapes.num_bytes(self.shape, self.storage.dtype)
        if not shapes.is_count(self.offset) or not shapes.are_counts(self.strides):
            raise ContentError("has an offset or strides that are no counts")
        if len(self.strides) != len(self.shape):
            raise ContentError("has not one stride for each axis")
        claimed, size = math.prod(self.shape), self.storage.size
        if claimed > size:
            raise ContentError(f"claims {claimed} elements, its storage has {size}")
        steps = zip(self.shape, self.strides, strict=True)
        if claimed and self.offset + sum((n - 1) * stride for n, stride in steps) >= size:
            raise ContentError(f"reaches beyond the {size} elements of its storage")
        return num_bytes

    def array(self, contents: Contents) -> np.ndarray:
        """A read-only view of the storage."""
        storage, dtype = self.storage, self.storage.dtype
        if not math.prod(self.shape):
            return np.empty(self.shape, dtype)
        steps = zip(self.shape, self.strides, strict=True)  # the stride of a single row is free
        strides = [dtype.itemsize * (stride if n > 1 else 1) for n, stride in steps]
        offset = dtype.itemsize * (storage.start + self.offset)
        return np.ndarray(self.shape, dtype, contents(storage.key), offset, strides)


@dataclass(eq=False)
class NumpyDtype:
    """``numpy.dtype``; the byte order arrives when it is built."""

    name: Any
    order: Any = None

    def build(self, state: Any) -> None:
        """Takes numpy's (version, byte order, ...)."""
        self.order = state[1]


@dataclass(eq=False)
class NumpyArray:
    """``numpy.ndarray``; all but the class arrives when it is built.

    Content that Python 2 wrote is text, one character for each byte.
    """

    dtype: Any = None
    shape: Any = None
    is_fortran: Any = False
    content: Any = None

    def build(self, state: Any) -> None:
        """Takes numpy's (version, shape, dtype, Fortran order, content)."""
        _, self.shape, self.dtype, self.is_fortran, self.content = state

    def check(self) -> int:
        """Refuses content that is not as long as shape and dtype say. Returns its length."""
        num_bytes = shapes.num_bytes(self.shape, self._checked_dtype())
        if not isinstance(self.content, (bytes, bytearray, str)):
            raise ContentError("is an array without content")
        if len(self.content) != num_bytes:
            raise ContentError(f"claims {num_bytes} bytes, its content has {len(self.content)}")
        return num_bytes

    def array(self, contents: Contents) -> np.ndarray:
        """A view of the content."""
        del contents  # only torch keeps it elsewhere
        if isinstance(self.content, str):
            try:
                self.content = self.content.encode("latin-1")  # and the text can be forgotten
            except UnicodeEncodeError as error:
                raise ContentError("has an array whose content is text") from error
        order = "F" if self.is_fortran else "C"
        return np.ndarray(self.shape, self._checked_dtype(), self.content, order=order)

    def _checked_dtype(self) -> np.dtype:
        dtype = self.dtype
        if not isinstance(dtype, NumpyDtype) or not isinstance(dtype.name, str):
            raise ContentError("is an array without a dtype")
        if not isinstance(dtype.order, str):
            raise ContentError(f"has the dtype {dtype.name!r:.20} without a byte order")
        return numpy_dtype(dtype.order + dtype.name)


Tensor = TorchTensor | NumpyArray
