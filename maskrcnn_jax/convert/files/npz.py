"""numpy's npz: a zip file of arrays, with the metadata in an entry of its own."""

import ast
import io
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from maskrcnn_jax.convert.files.archive import Archive, write_entry
from maskrcnn_jax.convert.files.content_error import ContentError, about_tensor, check_expansion
from maskrcnn_jax.convert.files.dtypes import numpy_dtype, raw_bytes
from maskrcnn_jax.convert.files.metadata import METADATA, checked_metadata, dump_json, parse_json
from maskrcnn_jax.convert.files.shapes import num_bytes

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1000  # bytes; that of an array of numbers has a tenth


def read(archive: Archive) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the tensors and the metadata."""
    for entry in archive.entries.values():
        if not entry.filename.endswith(".npy"):
            raise ContentError(
                f"is a zip file, but not torch's and no npz: {entry.filename!r:.200} is no array"
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ContentError(f"has the entry {entry.filename!r:.200} in an unknown compression")
    unpacked = sum(entry.file_size for entry in archive.entries.values())
    check_expansion(unpacked, file_size=archive.file_size)
    tensors, metadata = {}, {}
    for entry in archive.entries:
        name = entry.removesuffix(".npy")
        with about_tensor(name):
            if name == METADATA:
                metadata = _metadata(archive.read(entry))
            else:
                tensors[name] = _array(archive.read(entry))
    return tensors, metadata


def write(
    file: IO[bytes], tensors: Mapping[str, np.ndarray], *, metadata: Mapping[str, str]
) -> None:
    """Writes an npz without compression, which would gain a tenth at best."""
    arrays = dict(tensors)
    if metadata:
        arrays[METADATA] = np.array(dump_json(metadata))
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            header = io.BytesIO()
            description = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
            np.lib.format.write_array_header_1_0(header, description)
            write_entry(archive, f"{name}.npy", header.getvalue(), raw_bytes(array))


def _array(content: np.ndarray) -> np.ndarray:
    header, begin = _header(content)
    dtype = numpy_dtype(header["descr"])
    claimed = num_bytes(header["shape"], dtype)
    if claimed != len(content) - begin:
        raise ContentError(f"claims {claimed} bytes, its entry has {len(content) - begin}")
    order = "F" if header["fortran_order"] else "C"
    return np.ndarray(header["shape"], dtype, content, begin, order=order)


def _metadata(content: np.ndarray) -> dict[str, str]:
    _, begin = _header(content)
    text = content[begin:].tobytes()
    return checked_metadata(parse_json(text, encoding="utf-32-le"))


def _header(content: np.ndarray) -> tuple[dict[str, Any], int]:
    """Returns description and offset of the array in a file of numpy's format 1 to 3."""
    start = content[:12].tobytes()
    if start[:6] != _MAGIC or len(start) < 12:
        raise ContentError("is not in numpy's format")
    begin = 10 if start[6] == 1 else 12  # later versions have a longer length
    end = begin + int.from_bytes(start[8:begin], "little")
    if end > min(len(content), _MAX_HEADER):
        raise ContentError("has a header that is too long")
    try:
        header = ast.literal_eval(content[begin:end].tobytes().decode("latin-1").strip())
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError, Warning) as error:
        raise ContentError("has a header that is no description of an array") from error
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ContentError("has a header that is no description of an array")
    if not isinstance(header["descr"], str):
        raise ContentError("is a structured array, not one of numbers")
    return header, end
