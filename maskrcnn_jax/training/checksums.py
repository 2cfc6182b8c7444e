"""Checksums of the files of a checkpoint: what a disk, a crash or a copy has spoilt is noticed.

Array files have none of their own: an altered number would be read as it is.
"""

import hashlib
import json
from pathlib import Path

from maskrcnn_jax.files import write_json

NAME = "checksums.json"


def write_checksums(folder: Path) -> None:
    """Writes ``checksums.json``: size and SHA-256 of every file in the folders inside of it.

    Files of the folder itself are left out: orbax still changes them.
    """
    files = sorted(path for path in folder.glob("*/**/*") if path.is_file())
    write_json(folder / NAME, {path.relative_to(folder).as_posix(): _entry(path) for path in files})


def find_damage(folder: Path) -> str | None:
    """Says which file is not as it was when the checksums were written; None where all are."""
    if not (folder / NAME).exists():
        return f"{NAME} is missing"
    try:
        entries = json.loads((folder / NAME).read_bytes())
        for name, entry in entries.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if (size := (folder / name).stat().st_size) != entry["size"]:
                return f"{name} has {size:,} bytes of {entry['size']:,}"
            if _entry(folder / name) != entry:
                return f"{name} has changed since it was written"
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{NAME} cannot be read"
    except OSError as error:
        return f"a file cannot be read: {error}"
    return None


def _entry(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}
