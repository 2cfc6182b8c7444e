"""What a video shows, as tables for other programs: objects over time, and one row per identity."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.video.tracking import UNNUMBERED


class CountsTable:
    """CSV with a row for each frame, written as the frames come: detections of each class.

    ``identities`` is the number of different objects so far, over all classes.
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


@dataclass(kw_only=True)
class _Appearance:
    """When and how one identity was seen."""

    first_frame: int
    first_seconds: float
    last_frame: int = 0
    last_seconds: float = 0.0
    labels: Counter[int] = field(default_factory=Counter)
    scores: float = 0.0  # their sum


class IdentityTable:
    """When each identity was seen first and last, in how many frames, and as what."""

    def __init__(self) -> None:
        self._appearances: dict[int, _Appearance] = {}

    def add(
        self,
        frame: int,
        seconds: float,
        *,
        identities: Int[np.ndarray, " n"],
        labels: Int[np.ndarray, " n"],
        scores: Float[np.ndarray, " n"],
    ) -> None:
        for identity, label, score in zip(identities.tolist(), labels, scores, strict=True):
            if identity == UNNUMBERED:
                continue
            new = _Appearance(first_frame=frame, first_seconds=seconds)
            seen = self._appearances.setdefault(identity, new)
            seen.last_frame, seen.last_seconds = frame, seconds
            seen.labels[int(label)] += 1
            seen.scores += float(score)

    def count_by_class(self) -> Counter[int]:
        """The number of identities of each label, which is the one they were given most often."""
        return Counter(_label(seen) for seen in self._appearances.values())

    def write(self, file: TextIO, names: Sequence[str]) -> None:
        """CSV with a row for each identity; ``score`` is the mean over its frames."""
        rows = csv.writer(file, lineterminator="\n")
        times = ("first_frame", "last_frame", "first_seconds", "last_seconds")
        rows.writerow(["track_id", "category", "frames", *times, "score"])
        for identity, seen in sorted(self._appearances.items()):
            frames = seen.labels.total()
            rows.writerow(
                [
                    *(identity, names[_label(seen)], frames, seen.first_frame, seen.last_frame),
                    *(f"{seen.first_seconds:.3f}", f"{seen.last_seconds:.3f}"),
                    f"{seen.scores / frames:.3f}",
                ]
            )


def _label(seen: _Appearance) -> int:
    return seen.labels.most_common(1)[0][0]
