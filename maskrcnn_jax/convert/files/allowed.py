"""The names that a pickle may refer to, each with an object of ours in its place.

Functions may be called by the file, with any arguments; they only keep what they are given. No
other object can be called, and there is no way from a name to a module: what is not in this table
does not exist.
"""

from collections import OrderedDict
from typing import Any

from maskrcnn_jax.convert.files import dtypes
from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.tensors import NumpyArray, NumpyDtype, Tensor, TorchTensor


class Ignored:
    """Stands for a set, a name space and the like: it takes everything and keeps nothing."""


IGNORED = Ignored()


def _ignored(*_: Any) -> Ignored:
    return IGNORED


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *others: Any) -> TorchTensor:
    if any(others[2:]):  # after requires_grad and hooks: flags of views not computed yet
        raise ContentError("has a tensor that is marked as conjugate or negative; save a copy")
    return TorchTensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise ContentError("has a torch parameter that is not made of a tensor")
    return tensor


def _size(values: Any = ()) -> Any:
    return values


def _array_to_build(*_: Any) -> NumpyArray:
    return NumpyArray()


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NumpyArray:
    return NumpyArray(dtype, shape, order == "F", content)


def _scalar(dtype: Any, content: Any) -> NumpyArray:
    return NumpyArray(dtype, (), False, content)


def _dtype(name: Any, *_: Any) -> NumpyDtype:
    return NumpyDtype(name)


def _encode(text: Any, encoding: Any) -> Any:
    """Bytes in protocol 2. They stay text, which costs no copy and which arrays understand."""
    if encoding not in ("latin1", "latin-1"):
        raise ContentError("encodes text as something other than latin1")
    return text


def _empty_bytes() -> bytes:
    """Bytes without content in protocol 2."""
    return b""


def _ordered_dict(pairs: Any = None) -> OrderedDict:
    """Python 2 hands the items over as a list of lists.

    The list is emptied: a file could hand it over a million times.
    """
    items = OrderedDict()
    if isinstance(pairs, list):
        items.update((key, value) for key, value in pairs if isinstance(key, str))
        pairs.clear()
    return items


_TORCH_DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64"

ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": _size,
    **{f"torch.{name}": dtype for name, dtype in dtypes.TORCH.items()},
    "numpy.dtype": _dtype,
    "numpy.ndarray": IGNORED,  # an argument of _reconstruct
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")  # numpy 1, numpy 2
        for name, function in {
            "multiarray._reconstruct": _array_to_build,
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _array,
        }.items()
    },
    "_codecs.encode": _encode,
    # what else checkpoints hold beside their tensors
    "argparse.Namespace": _ignored,
    "collections.Counter": _ignored,
    "torch.device": _ignored,
    **{f"torch.{name}": IGNORED for name in _TORCH_DTYPES.split()},
    **{
        f"{builtins}.{name}": function
        for builtins in ("builtins", "__builtin__")  # Python 3, Python 2
        for name, function in {
            "bytes": _empty_bytes,
            "set": _ignored,
            "frozenset": _ignored,
        }.items()
    },
}
