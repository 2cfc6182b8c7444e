"""The files of a run's log: JSON lines, TensorBoard events and pictures."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.summary import scalar

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_bytes
from maskrcnn_jax.pictures.sheet import encode_picture

# Modules whose names are made at run time.
_proto: Any = event_pb2
_summary: Any = summary_pb2


class LogFiles:
    """``WORKDIR/metrics.jsonl`` with one object for each line, ``tensorboard`` and ``pictures``.

    What lies beyond ``start``, written by a run that was cut off after its last checkpoint, is
    marked as void for TensorBoard and dropped elsewhere: those steps are done again.
    """

    def __init__(self, workdir: Path, *, start: int) -> None:
        self._workdir, self._pictures = workdir, workdir / "pictures"
        self._lines, board = workdir / "metrics.jsonl", workdir / "tensorboard"
        with self._explained():
            board.mkdir(parents=True, exist_ok=True)
            _truncate(self._lines, start)
            _remove_pictures(self._pictures, start)
            # Not a SummaryWriter, whose thread stops on a full disk and lets the run wait for ever.
            self._events = EventsWriter(str(board / "events"))
            mark = _proto.SessionLog(status=_proto.SessionLog.START)
            self._events.write_event(
                _proto.Event(wall_time=time.time(), step=start + 1, session_log=mark)
            )

    def write(self, step: int, line: Mapping[str, float]) -> None:
        """Writes one line, through to the operating system."""
        with self._explained():
            with self._lines.open("a") as file:
                file.write(json.dumps({"step": step, **line}) + "\n")
            for name, value in line.items():
                self._add(step, scalar(name, value))
            self._events.flush()

    def write_picture(self, step: int, picture: np.ndarray) -> None:
        """Writes uint8 RGB [h, w, 3] as a PNG file, and for TensorBoard."""
        encoded, (height, width) = encode_picture(picture), picture.shape[:2]
        image = _summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=encoded
        )
        with self._explained():
            write_bytes(self._pictures / f"step_{step:08d}.png", encoded)
            self._add(
                step, _summary.Summary(value=[_summary.Summary.Value(tag="pictures", image=image)])
            )
            self._events.flush()

    def close(self) -> None:
        with self._explained():
            self._events.close()

    def _add(self, step: int, summary: Any) -> None:
        self._events.write_event(_proto.Event(wall_time=time.time(), step=step, summary=summary))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Names the folder: an error of writing names no file."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self._workdir}: the log cannot be written: {error.strerror}. Make room (or mend "
                "what is wrong with the folder) and run the same command again."
            ) from error


def _truncate(path: Path, last_step: int) -> None:
    if not path.exists():
        return
    lines = [line for line in path.read_text().splitlines() if _step(line) <= last_step]
    write_bytes(path, "".join(line + "\n" for line in lines).encode())


def _remove_pictures(folder: Path, last_step: int) -> None:
    for path in folder.glob("step_*.png"):
        step = path.stem.removeprefix("step_")
        if step.isdigit() and int(step) > last_step:
            path.unlink()


def _step(line: str) -> float:
    """The step of a line; a line that was cut off while it was written belongs to none."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
