"""Zip files, the frame of npz and of torch's files: checked before anything is unpacked."""

import collections
import contextlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from maskrcnn_jax.convert.files.content_error import ContentError
from maskrcnn_jax.convert.files.source import fill

_HEADER = 30  # bytes of an entry's header without its name
_DATE = (1980, 1, 1, 0, 0, 0)  # the same tensors give the same bytes, today and tomorrow
_ERRORS = (  # what zipfile raises for broken files
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class Archive:
    """The entries of a zip file, by name. The file stays the caller's to close."""

    def __init__(self, file: BinaryIO, *, file_size: int):
        with _zip_errors():
            self._archive = zipfile.ZipFile(file)
        self.file_size = file_size
        self.entries = {entry.filename: entry for entry in self._archive.infolist()}
        _check_directory(self._archive)

    def read(self, name: str) -> np.ndarray:
        """Returns an entry's content as uint8; its checksum is verified."""
        entry = self.entries[name]
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
            raise ContentError(f"has the entry {name!r:.200} with two sizes")
        if not entry.CRC:
            del entry.CRC  # torch can be told to leave it out
        content = np.empty(entry.file_size, np.uint8)
        with _zip_errors(), self._archive.open(entry) as file:
            fill(content, file)  # type: ignore
        return content


@contextlib.contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        raise ContentError(f"is a damaged zip file, or is cut short: {error}") from error


def _check_directory(archive: zipfile.ZipFile) -> None:
    """Refuses entries that lie in each other, which is how a small file becomes a large one."""
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    position = 0
    for entry in entries:
        if entry.header_offset < position:
            raise ContentError("is a zip file with overlapping entries")
        header = _HEADER + len(entry.orig_filename)  # at least
        position = entry.header_offset + header + entry.compress_size
    if position > archive.start_dir:
        raise ContentError("is a zip file with overlapping entries")
    for name, count in collections.Counter(archive.namelist()).items():
        if count > 1:
            raise ContentError(f"is a zip file with two entries {name!r:.200}")


def write_entry(
    archive: zipfile.ZipFile, name: str, *parts: bytes | memoryview, alignment: int = 1
) -> None:
    """Stores the parts, one behind the other, uncompressed.

    The content begins at a multiple of ``alignment`` in the file.
    """
    entry = zipfile.ZipInfo(name, _DATE)
    entry.file_size = sum(map(len, parts))  # decides about the large format
    begin = archive.fp.tell() + _HEADER + len(name.encode())  # type: ignore  # it is open
    if begin % alignment:
        padding = -(begin + 4) % alignment
        entry.extra = b"FB" + struct.pack("<H", padding) + bytes(padding)  # as torch does
    with archive.open(entry, "w") as file:
        for part in parts:
            file.write(part)
