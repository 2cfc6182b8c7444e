"""Files that are written whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


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


def write_bytes(path: Path, content: bytes) -> None:
    """Writes all at once, in the place of what was there."""
    with replaced(path) as file:
        file.write(content)


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """Writes JSON as ``write_bytes`` does. Refuses NaN, which JSON does not have."""
    write_bytes(path, json.dumps(value, indent=indent, allow_nan=False).encode())
