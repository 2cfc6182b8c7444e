"""Ctrl-C ends a video; what was found until then is kept."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stops_when_asked(stop: Callable[[], None]) -> Iterator[None]:
    """Between ``with`` and its end the first signal calls ``stop``; a second one ends the process.

    An exception in the middle of a frame, as Python makes of Ctrl-C, would leave half a record.
    """

    def note(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: ends when this batch is done; once more ends now\n".encode())
        stop()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
