"""Shapes as files claim them: of any type and size until they are checked."""

import math
from typing import Any

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError

_MAX_DIMS = 32
_MAX = 2**62


def is_count(value: Any) -> bool:
    """Whether this is an integer from 0 on that the arithmetic on sizes can bear."""
    return type(value) is int and 0 <= value < _MAX


def are_counts(values: Any) -> bool:
    """Whether this is a tuple of counts, one for each axis of a possible array."""
    return isinstance(values, tuple) and len(values) <= _MAX_DIMS and all(map(is_count, values))


def num_bytes(shape: Any, dtype: np.dtype) -> int:
    """The bytes of an array; refuses what can be the shape of none."""
    if not are_counts(shape):
        raise ContentError("has a shape that is not a tuple of counts")
    if math.prod(max(n, 1) for n in shape) * dtype.itemsize >= _MAX:
        raise ContentError("has a shape too large for any memory")
    return math.prod(shape) * dtype.itemsize
