"""What a video shows, as tables for other programs: objects over time, and one row per identity."""

import csv
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TextIO

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.video.frames import Moment
from maskrcnn_jax.video.tracking import UNNUMBERED, Track


class CountsTable:
    """CSV with a row for each frame, written as the frames come: detections of each class.

    ``identities`` is the number of objects that have got a number so far, over all classes.
    """

    def __init__(self, file: TextIO, names: Sequence[str]):
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["frame", "seconds", "identities", *names])
        self._num_classes = len(names)

    def add(
        self, frame: int, seconds: float, *, labels: Int[np.ndarray, " n"], num_identities: int
    ) -> None:
        counts = np.bincount(labels, minlength=self._num_classes).tolist()
        self._rows.writerow([frame, f"{seconds:.3f}", num_identities, *counts])


class _Appearance(NamedTuple):
    """An object when it was seen last."""

    track: Track
    last: Moment


class IdentityTable:
    """When each identity was seen first and last, in how many frames, and as what.

    The frames in which an object had no number yet are among them.
    """

    def __init__(self) -> None:
        self._appearances: dict[int, _Appearance] = {}

    def add(self, moment: Moment, tracks: Sequence[Track]) -> None:
        for track in tracks:
            if track.identity != UNNUMBERED:
                self._appearances[track.identity] = _Appearance(track, moment)

    def count_by_class(self) -> Counter[int]:
        """The number of identities of each label, which is the one they were given most often."""
        return Counter(seen.track.label for seen in self._appearances.values())

    def write(self, file: TextIO, names: Sequence[str]) -> None:
        """CSV with a row for each identity; ``score`` is the mean over its frames."""
        rows = csv.writer(file, lineterminator="\n")
        times = ("first_frame", "last_frame", "first_seconds", "last_seconds")
        rows.writerow(["track_id", "category", "frames", *times, "score"])
        for identity, (track, last) in sorted(self._appearances.items()):
            rows.writerow(
                [
                    *(identity, names[track.label], track.num_frames),
                    *(track.first.frame, last.frame),
                    *(f"{track.first.seconds:.3f}", f"{last.seconds:.3f}"),
                    f"{track.score / track.num_frames:.3f}",
                ]
            )
