"""Results of many images, kept one by one, so that a prediction that is ended can go on.

OUT/results.jsonl has a line that says what is being done, and a line for each image that is done.
From them OUT/results.json is written in the end. A line that was being written when the program was
killed is dropped, and one that is damaged counts for nothing. Such a file says nothing of the order
of the images, nor which there are: those that have been added since are predicted, too.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.data.image_views import AugmentationConfig
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import replaced
from maskrcnn_jax.inference.options import OutputOptions
from maskrcnn_jax.serialization import differences, to_json

JOURNAL, RESULTS = "results.jsonl", "results.json"
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
    path: str
    version: Version
    counts: Counter[str]


@contextlib.contextmanager
def opened_journal(folder: Path, job: Job) -> Iterator["Journal"]:
    """The journal of a folder, which is this process's alone meanwhile.

    A folder in which nothing comes to be written is left as it was. Raises InputError if what is
    there is of another job, or another process is at work.
    """
    is_new, path = not folder.exists(), folder / JOURNAL
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _lock(file, folder)
        try:
            yield Journal(folder, file, job)
        finally:
            if path.exists() and not path.stat().st_size:
                path.unlink()
                if is_new:
                    with contextlib.suppress(OSError):  # others may have put something there
                        folder.rmdir()


class Journal:
    """The results so far, by the names of the pictures: see ``opened_journal``."""

    def __init__(self, folder: Path, file: BinaryIO, job: Job) -> None:
        self._path = folder / JOURNAL
        self._results = folder / RESULTS
        self._file = file
        self._job = to_json(job)
        self._lines: dict[str, _Line] = {}
        if file.seek(0, os.SEEK_END):
            self._read()
            for pattern in ("*.png", RESULTS):
                for unfinished in folder.rglob(f"{pattern}.[0-9]*.partial"):  # `files.replaced`
                    unfinished.unlink()

    def left_of(self, images: Mapping[Path, Path]) -> dict[Path, Path]:
        """The images that are not done, or have changed since: their old results are forgotten.

        ``images`` are by the names of their pictures. Who has taken the name of another image has
        taken the place of its picture, too.
        """
        left = {name: path for name, path in images.items() if not self._is_done(name, path)}
        for name in left:
            self._lines.pop(str(name), None)
        return left

    def __contains__(self, name: Path) -> bool:
        """Whether there are results of an image."""
        return str(name) in self._lines

    def counts(self, name: Path) -> Counter[str]:
        """How many objects of each class were counted in an image."""
        return self._lines[str(name)].counts

    def add(
        self,
        name: Path,
        path: Path,
        records: Sequence[dict],
        *,
        version: Version,
        counts: Counter[str],
    ) -> None:
        """Notes the results of an image, of which all other files must have been written."""
        if not self._file.seek(0, os.SEEK_END):
            self._results.unlink(missing_ok=True)  # is there when all is done, and not before
            self._file.write(_as_line(self._job))
        self._lines[str(name)] = _Line(self._file.tell(), str(path), version, counts)
        content = {"name": str(name), "file_name": str(path), "version": version, "counts": counts}
        self._file.write(_as_line(content | {"records": records}))
        self._file.flush()

    def write_results(self, names: Iterable[Path]) -> None:
        """Writes results.json: what is done of these images, numbered from 1 in this order."""
        with replaced(self._results) as file:
            file.write(b"[")
            separator = b""
            for record in self._records(names):
                file.write(separator + json.dumps(record, allow_nan=False).encode())
                separator = b", "
            file.write(b"]")

    def remove(self) -> None:
        """Forgets all, when results.json is there and nothing is left to do."""
        self._path.unlink()

    def _is_done(self, name: Path, path: Path) -> bool:
        line = self._lines.get(str(name))
        return line is not None and (line.path, line.version) == (str(path), Version.of(path))

    def _records(self, names: Iterable[Path]) -> Iterator[dict]:
        for image_id, name in enumerate(names, start=1):
            if name in self:
                line = self._lines[str(name)]
                self._file.seek(line.offset)
                for record in json.loads(self._file.readline())["records"]:
                    yield record | {"image_id": image_id, "file_name": line.path}

    def _read(self) -> None:
        """A line that is damaged is passed over: its image is done again."""
        self._file.seek(0)
        self._check_job(self._file.readline())
        offset = self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                self._file.truncate(offset)
                break
            with contextlib.suppress(ValueError, KeyError, TypeError):
                content = json.loads(line)
                version, counts = Version(*content["version"]), Counter(content["counts"])
                name, path = content["name"], content["file_name"]
                self._lines[name] = _Line(offset, path, version, counts)
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


def _lock(file: BinaryIO, folder: Path) -> None:
    """Until the file is closed. Some file systems have no locks; there one has to take care."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"--out {folder}: another prediction is at work there; wait for its end, or give "
            "another --out"
        ) from None
    except OSError:
        pass


def _as_line(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False).encode() + b"\n"
