"""Python's garbage collector, out of the way where millions of small objects are made."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Also as a decorator. For objects without cycles, of which none is garbage yet.

    The collector looks through all of them again and again while they are made, which takes longer
    than reading the file that they come from.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
