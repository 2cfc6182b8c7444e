"""What was found in a video, for other programs: COCO results and two tables.

The files are written while the video runs and are in their places once it has ended. After an
exception none of them is there, or still the old ones.
"""

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.evaluation.results import ImageDetections, coco_records
from maskrcnn_jax.files import replaced
from maskrcnn_jax.video.counts import CountsTable, IdentityTable
from maskrcnn_jax.video.frames import Frame
from maskrcnn_jax.video.tracking import Track

TABLE_SUFFIXES = (".json", ".csv", ".tracks.csv")


@contextlib.contextmanager
def written_tables(name: Path, categories: Sequence[Category]) -> Iterator["VideoTables"]:
    """Writes ``name`` with each of ``TABLE_SUFFIXES`` at its end."""
    names = [category.name for category in categories]
    json_path, counts_path, tracks_path = (with_suffix(name, end) for end in TABLE_SUFFIXES)
    with (
        replaced(json_path) as records,
        _replaced_text(counts_path) as counts,
        _replaced_text(tracks_path) as identities,
    ):
        tables = VideoTables(_JsonList(records), CountsTable(counts, names), categories)
        yield tables
        tables.finish(identities)


class VideoTables:
    """Takes the results of one frame after the other."""

    def __init__(
        self, records: "_JsonList", counts: CountsTable, categories: Sequence[Category]
    ) -> None:
        self._records = records
        self._counts = counts
        self._identities = IdentityTable()
        self._categories = categories
        self._names = [category.name for category in categories]
        self._num_identities = 0
        self.num_frames = 0

    def add(self, frame: Frame, found: ImageDetections, tracks: Sequence[Track]) -> None:
        """Adds what was found in a frame, and the track that each detection belongs to."""
        self.num_frames += 1
        identities = [track.identity for track in tracks]
        self._num_identities = max(self._num_identities, *identities, 0)
        self._counts.add(
            frame.index, frame.seconds, labels=found.labels, num_identities=self._num_identities
        )
        self._identities.add(frame.moment, tracks)
        time = {"frame": frame.index, "seconds": round(frame.seconds, 3)}
        records = coco_records(found, image_id=frame.index, categories=self._categories)
        for record, identity in zip(records, identities, strict=True):
            self._records.add(record | time | {"track_id": identity or None})

    def totals(self) -> Counter[str]:
        """How many different objects there were so far, by the names of their classes."""
        counts = self._identities.count_by_class()
        return Counter({self._names[label]: count for label, count in counts.items()})

    def finish(self, identities: TextIO) -> None:
        """Ends the records, and writes the table that is known at the end only."""
        self._records.finish()
        self._identities.write(identities, self._names)


def with_suffix(name: Path, suffix: str) -> Path:
    """``name`` may have dots of its own."""
    return name.with_name(name.name + suffix)


class _JsonList:
    """A list in a JSON file whose items need not be kept until it ends, each on a line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._before = b"[\n"

    def add(self, item: dict) -> None:
        self._file.write(self._before + json.dumps(item, allow_nan=False).encode())
        self._before = b",\n"

    def finish(self) -> None:
        self._file.write(b"\n]\n" if self._before == b",\n" else b"[]\n")


@contextlib.contextmanager
def _replaced_text(path: Path) -> Iterator[io.TextIOWrapper]:
    with (
        replaced(path) as file,
        io.TextIOWrapper(file, encoding="utf-8", newline="") as text,
    ):
        yield text
