"""Hugging Face's safetensors: a JSON header and one block of raw content.

Written by hand: with the library (0.8.0) the order of metadata changes from run to run, so that the
same tensors do not give the same file, and reading takes the file's size twice.

Format: github.com/huggingface/safetensors, README, "Format".
"""

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError, about_tensor
from maskrcnn_jax.convert.files.dtypes import SAFETENSORS, raw_bytes
from maskrcnn_jax.convert.files.metadata import METADATA, checked_metadata, dump_json, parse_json
from maskrcnn_jax.convert.files.shapes import is_count, num_bytes
from maskrcnn_jax.convert.files.source import Source

_MAX_HEADER = 10_000_000  # bytes; a detector's has 50 thousand
_NAMES = {dtype: name for name, dtype in SAFETENSORS.items()}


def is_safetensors(start: bytes) -> bool:
    """Whether a file that starts like this is one; eight letters make a far larger number."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**32


def read(source: Source) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the tensors, in the order of their content, and the metadata."""
    length = int.from_bytes(source.read(8), "little")
    if length > _MAX_HEADER:
        raise ContentError(f"has a header of {length} bytes; at most {_MAX_HEADER} are accepted")
    header = parse_json(source.take(length).tobytes(), encoding="utf-8")
    metadata = checked_metadata(header.pop(METADATA, {}))
    specifications = []
    for name, value in header.items():
        with about_tensor(name):
            specifications.append((*_specification(value), name))
    tensors, position = {}, 0
    for begin, end, dtype, shape, name in sorted(specifications, key=lambda one: one[:2]):
        with about_tensor(name):
            if begin != position:
                raise ContentError("does not begin where the one before it ends")
            tensors[name] = source.take(end - begin).view(dtype).reshape(shape)
            position = end
    if source.tell() != source.size:
        raise ContentError("has content that belongs to no tensor")
    return tensors, metadata


def _specification(value: Any) -> tuple[int, int, np.dtype, tuple[int, ...]]:
    """Returns begin and end in the content, dtype and shape of one tensor of the header."""
    match value:
        case {"dtype": str() as name, "shape": [*shape], "data_offsets": [begin, end]}:
            pass
        case _:
            raise ContentError("has no dtype, shape and data_offsets")
    if name not in SAFETENSORS:
        raise ContentError(f"has the dtype {name!r:.20}; known are {', '.join(SAFETENSORS)}")
    dtype = SAFETENSORS[name]
    claimed = num_bytes(tuple(shape), dtype)
    if not is_count(begin) or not is_count(end) or end - begin != claimed:
        raise ContentError("has data_offsets that do not fit its shape")
    return begin, end, dtype, tuple(shape)


def write(
    file: BinaryIO, tensors: Mapping[str, np.ndarray], *, metadata: Mapping[str, str]
) -> None:
    """Writes the types with the longest elements first, so that each is aligned."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    position = 0
    for name, array in ordered:
        offsets = [position, position + array.nbytes]
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        position = offsets[1]
    text = dump_json(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for _, array in ordered:
        file.write(raw_bytes(array))
