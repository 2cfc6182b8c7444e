"""Element types and their names in each container; all of them little-endian."""

import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError

BFLOAT16 = np.dtype(jnp.bfloat16)

TORCH: dict[str, np.dtype] = {  # the storage classes; quantised ones are left out
    "BoolStorage": np.dtype("|b1"),
    "ByteStorage": np.dtype("|u1"),
    "CharStorage": np.dtype("|i1"),
    "ShortStorage": np.dtype("<i2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "ComplexFloatStorage": np.dtype("<c8"),
    "ComplexDoubleStorage": np.dtype("<c16"),
}

SAFETENSORS: dict[str, np.dtype] = {
    "BOOL": np.dtype("|b1"),
    "U8": np.dtype("|u1"),
    "I8": np.dtype("|i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
}

_NUMPY = "|b1 |u1 |i1 <u2 <i2 <u4 <i4 <u8 <i8 <f2 <f4 <f8 <c8 <c16"
NUMPY: dict[str, np.dtype] = {name: np.dtype(name) for name in _NUMPY.split()}


def numpy_dtype(name: str) -> np.dtype:
    """The type that numpy calls, for instance, ``"<f4"``."""
    if name in NUMPY:
        return NUMPY[name]
    if name[:1] == ">":
        raise ContentError(f"has the big-endian dtype {name!r:.20}; write it as little-endian")
    if name[1:2] == "O":
        raise ContentError("is an array of Python objects, not of numbers")
    raise ContentError(f"has the dtype {name!r:.20}; known are {', '.join(NUMPY)}")


def raw_bytes(array: np.ndarray) -> memoryview:
    """The elements in C order: a view, or a copy where their order is another one."""
    return array.reshape(-1).view(np.uint8).data
