"""The files of a video's results: written while it runs, in their places once it has ended."""

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.evaluation.results import ImageDetections, coco_records
from maskrcnn_jax.evaluation.rle import DecodedMasks
from maskrcnn_jax.files import replaced
from maskrcnn_jax.video.counts import CountsTable, IdentityTable
from maskrcnn_jax.video.frames import Frame
from maskrcnn_jax.video.writer import SUFFIX, VideoWriter, written_video
from maskrcnn_jax.visualization import draw_detections


@contextlib.contextmanager
def written_results(
    name: Path, categories: Sequence[Category], *, rate: float
) -> Iterator["VideoResults"]:
    """Writes ``name`` with .webm, .json, .csv and .tracks.csv. ``rate`` is the video's.

    After an exception none of them is there, or still the old ones.
    """
    with contextlib.ExitStack() as files:
        results = VideoResults(name, categories, rate=rate, files=files)
        yield results
        results.finish()


class VideoResults:
    """Takes the results of one frame after the other."""

    def __init__(
        self,
        name: Path,
        categories: Sequence[Category],
        *,
        rate: float,
        files: contextlib.ExitStack,
    ) -> None:
        """``files`` closes what is opened here."""
        self._name = name
        self._categories = categories
        self._names = [category.name for category in categories]
        self._rate = rate
        self._files = files
        self._video: VideoWriter | None = None  # until the first picture tells the size
        self._records = _JsonList(files.enter_context(replaced(_path(name, ".json"))))
        self._counts = CountsTable(self._text_file(".csv"), self._names)
        self._identities = IdentityTable()
        self._num_identities = 0

    def add(self, frame: Frame, found: ImageDetections, identities: Int[np.ndarray, " n"]) -> None:
        """What was found in a frame, and the identity of each detection."""
        self._num_identities = max(self._num_identities, identities.max(initial=0))
        self._show(frame, found, identities)
        self._list(frame, found, identities)
        self._counts.add(
            *(frame.index, frame.seconds),
            labels=found.labels,
            num_identities=self._num_identities,
        )
        self._identities.add(
            *(frame.index, frame.seconds),
            identities=identities,
            labels=found.labels,
            scores=found.scores,
        )

    def totals(self) -> Counter[str]:
        """How many different objects there were so far, by the names of their classes."""
        counts = self._identities.count_by_class()
        return Counter({self._names[label]: count for label, count in counts.items()})

    def finish(self) -> None:
        """Writes what is known at the end only."""
        self._records.finish()
        self._identities.write(self._text_file(".tracks.csv"), self._names)

    def _show(self, frame: Frame, found: ImageDetections, identities: np.ndarray) -> None:
        segmentations = found.segmentations
        picture = draw_detections(
            frame.image,
            boxes=found.boxes,
            labels=found.labels,
            scores=found.scores,
            masks=None if segmentations is None else DecodedMasks(segmentations),
            names=self._names,
            identities=identities,
        )
        if self._video is None:
            video = written_video(_path(self._name, SUFFIX), picture, rate=self._rate)
            self._video = self._files.enter_context(video)
        else:
            self._video.show(picture, frame.seconds)

    def _list(self, frame: Frame, found: ImageDetections, identities: np.ndarray) -> None:
        records = coco_records(found, image_id=frame.index, categories=self._categories)
        time = {"frame": frame.index, "seconds": round(frame.seconds, 3)}
        for record, identity in zip(records, identities.tolist(), strict=True):
            self._records.add(record | time | {"track_id": identity or None})

    def _text_file(self, suffix: str) -> io.TextIOWrapper:
        file = self._files.enter_context(replaced(_path(self._name, suffix)))
        return self._files.enter_context(io.TextIOWrapper(file, encoding="utf-8", newline=""))


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


def _path(name: Path, suffix: str) -> Path:
    """Names may have dots of their own."""
    return name.with_name(name.name + suffix)
