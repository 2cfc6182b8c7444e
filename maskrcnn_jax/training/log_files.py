"""The files of a run's log: JSON lines and TensorBoard events."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2
from tensorboardX.summary import scalar

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.files import write_bytes

_proto: Any = event_pb2  # whose names are made at run time


class LogFiles:
    """``WORKDIR/metrics.jsonl`` with one object for each line, and ``WORKDIR/tensorboard``.

    What lies beyond ``start``, written by a run that was cut off after its last checkpoint, is
    dropped from the one and marked as void in the other: those steps are done again.
    """

    def __init__(self, workdir: Path, *, start: int) -> None:
        self._workdir = workdir
        self._lines, board = workdir / "metrics.jsonl", workdir / "tensorboard"
        with self._explained():
            board.mkdir(parents=True, exist_ok=True)
            _truncate(self._lines, start)
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
                self._events.write_event(
                    _proto.Event(wall_time=time.time(), step=step, summary=scalar(name, value))
                )
            self._events.flush()

    def close(self) -> None:
        with self._explained():
            self._events.close()

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


def _step(line: str) -> float:
    """The step of a line; a line that was cut off while it was written belongs to none."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
