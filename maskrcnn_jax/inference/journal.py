"""Results of many images, kept one by one, so that a prediction that is ended can go on.

OUT/results.jsonl has a line that says what is being done, and a line for each image that is done.
From them OUT/results.json is written in the end. A line that was being written when the program was
killed is dropped. Such a file says nothing of the order of the images, nor which there are: those
that have been added since are predicted, too.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.data.image_views import AugmentationConfig
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import replaced, write_bytes
from maskrcnn_jax.inference.options import OutputOptions
from maskrcnn_jax.serialization import differences, to_json

# Of these only that they differ is told.
_LONG = ("weights", "categories")


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the results of an image depend on, but for the image. Batch sizes have no part."""

    weights: str  # see ``fingerprint``
    model: AnyDetectorConfig
    categories: tuple[Category, ...]
    eval_short_side: int
    long_side: int
    padded_sizes: tuple[Size, ...]
    augmentation: AugmentationConfig
    output: OutputOptions


def fingerprint(variables: Mapping[str, Any]) -> str:
    """A short text that is another one for other weights."""
    digest = hashlib.sha256()
    for path, x in sorted(flatten_dict(variables).items()):
        array = np.asarray(x)
        digest.update(f"{path} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class Version(NamedTuple):
    """Tells a file from what it has become."""

    size: int  # bytes
    modified: int  # nanoseconds

    @classmethod
    def of(cls, path: Path) -> "Version":
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns)


class _Line(NamedTuple):
    offset: int
    version: Version
    counts: Counter[str]


class Journal:
    """The results so far in a folder; nothing is written before the first one is added.

    Raises InputError if they are of another job.
    """

    def __init__(self, folder: Path, job: Job) -> None:
        self._path = folder / "results.jsonl"
        self._results = folder / "results.json"
        self._job = to_json(job)
        self._lines: dict[str, _Line] = {}
        if self._path.exists():
            self._read()
            for unfinished in folder.rglob("*.[0-9]*.partial"):  # see ``files.replaced``
                unfinished.unlink()

    def left_of(self, paths: Iterable[Path]) -> list[Path]:
        """The images that are not done, or have changed since: their old results are forgotten."""
        left = [path for path in paths if not self._is_done(path)]
        for path in left:
            self._lines.pop(str(path), None)
        return left

    def __contains__(self, path: Path) -> bool:
        """Whether there are results of an image."""
        return str(path) in self._lines

    def counts(self, path: Path) -> Counter[str]:
        """How many objects of each class were counted in an image."""
        return self._lines[str(path)].counts

    def add(
        self, path: Path, records: Sequence[dict], *, version: Version, counts: Counter[str]
    ) -> None:
        """Notes the results of an image, of which all other files must have been written."""
        if not self._path.exists():
            self._results.unlink(missing_ok=True)  # is there when all is done, and not before
            write_bytes(self._path, _as_line(self._job))
        content = {"file_name": str(path), "version": version, "counts": counts, "records": records}
        with self._path.open("ab") as file:
            self._lines[str(path)] = _Line(file.tell(), version, counts)
            file.write(_as_line(content))

    def write_results(self, paths: Iterable[Path]) -> None:
        """Writes results.json: what is done of these images, numbered from 1 in this order."""
        with replaced(self._results) as file:
            file.write(b"[")
            separator = b""
            for record in self._records(paths):
                file.write(separator + json.dumps(record, allow_nan=False).encode())
                separator = b", "
            file.write(b"]")

    def remove(self) -> None:
        """Forgets all, when results.json is there and nothing is left to do."""
        self._path.unlink(missing_ok=True)

    def _is_done(self, path: Path) -> bool:
        return path in self and self._lines[str(path)].version == Version.of(path)

    def _records(self, paths: Iterable[Path]) -> Iterator[dict]:
        with self._path.open("rb") as file:
            for image_id, path in enumerate(paths, start=1):
                if path in self:
                    file.seek(self._lines[str(path)].offset)
                    for record in json.loads(file.readline())["records"]:
                        yield record | {"image_id": image_id, "file_name": str(path)}

    def _read(self) -> None:
        with self._path.open("r+b") as file:
            self._check_job(file.readline())
            offset = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(offset)
                    break
                content = json.loads(line)
                version, counts = Version(*content["version"]), Counter(content["counts"])
                self._lines[content["file_name"]] = _Line(offset, version, counts)
                offset += len(line)

    def _check_job(self, line: bytes) -> None:
        try:
            changes = differences({**json.loads(line)}, self._job)
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{self._path}: not of this program, or damaged; remove it to start anew"
            ) from None
        for option, old, new in changes:
            name = option.removeprefix("output.").replace("_", "-")
            what = f"other {name}" if option in _LONG else f"--{name} {old}, not {new}"
            raise InputError(
                f"{self._path} holds what is done of a prediction with {what}. Give all as it was "
                "to go on, or another --out, or remove the file to start anew"
            )


def _as_line(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False).encode() + b"\n"
