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
    with replaced_path(path) as temporary, temporary.open("wb") as file:
        yield file


@contextlib.contextmanager
def replaced_path(path: Path) -> Iterator[Path]:
    """As ``replaced``, for libraries that open files by name; its suffix is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
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
