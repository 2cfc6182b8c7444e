"""Video files, written whole or not at all.

The codec is VP8, in WebM. Of what OpenCV's wheels can write it is the only one that browsers play
and that is written faster than most detectors work: they have no H.264, browsers do not play their
MPEG-4 (``mp4v``), and VP9 takes them six times as long.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.files import replaced_path

SUFFIX = ".webm"
# A longer time without a new picture is cut out: what records movement jumps by hours.
_LONGEST_STILL = 10.0  # seconds
_LEAST_RATE = 1.0  # that OpenCV writes


@contextlib.contextmanager
def written_video(
    path: Path, first: UInt8[np.ndarray, "h w 3"], *, rate: float
) -> Iterator["VideoWriter"]:
    """Writes a video that begins with a picture; it is there once all is written.

    ``rate`` is in frames in a second.
    """
    with replaced_path(path) as temporary:
        writer = VideoWriter(temporary, first, rate=max(rate, _LEAST_RATE))
        try:
            yield writer
        finally:
            writer.close()
        if not _has_frames(temporary, writer.num_frames):  # OpenCV passes over failures
            raise OSError(f"{path}: the video could not be written to its end; is the disk full?")


class VideoWriter:
    """Pictures of one size, shown at a steady rate, each from its time until that of the next."""

    def __init__(self, path: Path, first: UInt8[np.ndarray, "h w 3"], *, rate: float) -> None:
        self._size = (first.shape[1] // 2 * 2 or 2, first.shape[0] // 2 * 2 or 2)
        self._rate = rate
        with _stderr_to_nowhere():  # there OpenCV denies that WebM can hold VP8, and writes it
            self._file = cv2.VideoWriter(
                str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), rate, self._size
            )
        if not self._file.isOpened():
            raise OSError(f"{path}: no video can be written there")
        self._picture = first  # to be written as frame num_frames, and on
        self.num_frames = 0
        self._num_cut = 0

    def show(self, picture: UInt8[np.ndarray, "h w 3"], seconds: float) -> None:
        """Shows the next picture, RGB, from ``seconds`` on, counted from the first picture.

        Of two pictures that are due in the same frame, the later one is shown.
        """
        due = round(seconds * self._rate) - self._num_cut - self.num_frames
        repeats = due if due <= _LONGEST_STILL * self._rate else 1
        self._num_cut += due - repeats
        self._write(repeats)
        self._picture = picture

    def close(self) -> None:
        """Shows the last picture in one frame and ends the file."""
        self._write(1)
        self._file.release()

    def _write(self, repeats: int) -> None:
        frame = cv2.cvtColor(self._picture, cv2.COLOR_RGB2BGR)
        if frame.shape[1::-1] != self._size:  # odd, which the codec cannot, or changed
            frame = cv2.resize(frame, self._size, interpolation=cv2.INTER_AREA)
        for _ in range(repeats):
            self._file.write(frame)
            self.num_frames += 1


def _has_frames(path: Path, num_frames: int) -> bool:
    """Whether a file says that it has so many frames, and the last one is there."""
    written = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    written.set(cv2.CAP_PROP_POS_FRAMES, num_frames - 1)
    return written.get(cv2.CAP_PROP_FRAME_COUNT) == num_frames and written.grab()


@contextlib.contextmanager
def _stderr_to_nowhere() -> Iterator[None]:
    """Of the whole process: it is not Python that writes."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
