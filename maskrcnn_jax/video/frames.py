"""Frames of a video file or a camera: upright, uint8 RGB, each with its time."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.errors import InputError

SUFFIXES = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts"}
# Frames in a second, where no rate is told or one that no video has: a container's time base.
_ASSUMED_RATE, _GREATEST_RATE = 30.0, 1000.0

# FFmpeg and OpenCV comment on files; what a user has to know, our own messages say. FFmpeg's level
# is read when the process first opens a video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, 5
_set_log_level(0)  # silent


class Moment(NamedTuple):
    """When a frame is seen."""

    frame: int  # from 0
    seconds: float  # since the first frame; rises from frame to frame


@dataclass(frozen=True, kw_only=True)
class Frame:
    index: int
    seconds: float
    image: UInt8[np.ndarray, "h w 3"]

    @property
    def moment(self) -> Moment:
        return Moment(self.index, self.seconds)


class Video:
    """A file or camera that shows something; its frames can be had once.

    ``rate`` is in frames in a second, as told by the file or camera. Where it varies, only the
    times of the frames are right. ``num_frames`` is told by a file and may be wrong, too; it is
    None where nothing is told.
    """

    def __init__(
        self,
        capture: cv2.VideoCapture,
        *,
        name: str,
        clock: Callable[[], float],
        num_frames: int | None = None,
    ) -> None:
        """``clock`` gives the time, in seconds, of the frame that was read last."""
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.name = name
        self.rate = rate if 0 < rate <= _GREATEST_RATE else _ASSUMED_RATE
        self.num_frames = num_frames
        self.is_stopped = False
        self.has_ended = False  # by itself: there is no frame after those that were read
        self._capture = capture
        self._clock = clock
        self._reading = threading.Lock()  # nothing may be released while a thread reads
        first = self._read()
        if first is None:
            raise InputError(f"{name}: no frame can be read")
        self._first = first

    def frames(self) -> Iterator[Frame]:
        """All frames in turn, as large as the first one.

        A time that does not rise, for some files have none, is made up.
        """
        start, seconds = self._first[1], -1 / self.rate
        height, width = self._first[0].shape[:2]
        for index, (image, time_told) in enumerate(self._reads()):
            told = time_told - start
            seconds = told if told > seconds else seconds + 1 / self.rate
            if image.shape[:2] != (height, width):  # a camera or stream that changes its mind
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            yield Frame(index=index, seconds=seconds, image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB))

    def stop(self) -> None:
        """Lets ``frames`` end with the frame that is being read. For signal handlers, too."""
        self.is_stopped = True

    def close(self) -> None:
        """Gives the file or camera back, once nobody reads any more."""
        with self._reading:
            self._capture.release()

    def _reads(self) -> Iterator[tuple[np.ndarray, float]]:
        read = self._first
        while read is not None:
            yield read
            read = self._read()

    def _read(self) -> tuple[np.ndarray, float] | None:
        with self._reading:
            if self.is_stopped:
                return None
            image = self._capture.read()[1]
            self.has_ended = image is None
            return None if image is None else (image, self._clock())


def open_video(path: Path) -> Video:
    """Opens a file. Frames are turned as its metadata ask for."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such video")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # the default, but not of OpenCV 4.11
    num_frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    try:
        return Video(
            capture,
            name=str(path),
            clock=lambda: capture.get(cv2.CAP_PROP_POS_MSEC) / 1000,
            num_frames=num_frames if num_frames > 0 else None,
        )
    except InputError:
        text = "no video that OpenCV can read: damaged, incomplete or of an unknown codec. Try: "
        new = path.with_name(f"{path.stem}_new.mp4")
        raise InputError(f"{path}: {text}ffmpeg -i {path} {new}") from None


def open_camera(camera: str) -> Video:
    """Opens a camera by its number (0 is the first), or a stream by its address (``rtsp://``)."""
    capture = cv2.VideoCapture(int(camera) if camera.isdecimal() else camera)
    try:
        return Video(capture, name=f"camera {camera}", clock=time.monotonic)
    except InputError as error:
        mend = "connected, free and permitted to be used? Is its number or address right?"
        raise InputError(f"{error}: is it {mend}") from None


def newest(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Of a camera's frames always the newest one; what comes while nobody asks is passed over.

    A detector that is slower than its camera would otherwise see older and older frames.
    """
    latest: queue.Queue[Frame] = queue.Queue(1)

    def read() -> None:
        for frame in frames:
            with contextlib.suppress(queue.Empty):
                latest.get_nowait()
            latest.put(frame)  # there is room: nobody else puts

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    while thread.is_alive() or not latest.empty():
        try:
            yield latest.get(timeout=0.1)
        except queue.Empty:
            continue
