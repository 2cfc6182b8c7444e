"""Files that are written whole or not at all."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from maskrcnn_jax.errors import InputError


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Opens a file beside ``path`` for writing, which takes its place once all is written.

    Nobody ever sees half a file: after an exception the old one is still there.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with _taking_the_place_of(path, temporary), temporary.open("wb") as file:
        yield file


@contextlib.contextmanager
def replaced_path(path: Path) -> Iterator[Path]:
    """As ``replaced``, for libraries that open files by name and want to see their suffix."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial{path.suffix}")
    with _taking_the_place_of(path, temporary):
        yield temporary


@contextlib.contextmanager
def _taking_the_place_of(path: Path, temporary: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path, *, option: str) -> None:
    """Makes a folder that the user gave as ``option``, before there is anything to write.

    Raises ``InputError`` where that, or a file in it, cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{option} {folder}: is no folder that can be written to ({error.strerror}); give "
            "another"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes all at once, in the place of what was there."""
    with replaced(path) as file:
        file.write(content)


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """Writes JSON as ``write_bytes`` does. Refuses NaN, which JSON does not have."""
    write_bytes(path, json.dumps(value, indent=indent, allow_nan=False).encode())
