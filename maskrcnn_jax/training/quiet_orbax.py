"""Keeps orbax from talking about a save that failed: the error is raised as well, once."""

import functools
import logging
import sys


@functools.cache
def quiet_orbax() -> None:
    """Silences, for good, its log, and what asyncio says of its tasks."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(
            lambda record: "orbax" not in record.pathname + record.getMessage()
        )
    hook = sys.unraisablehook

    def unless_late(unraisable) -> None:
        # Of many arrays, each in a thread of its own, the first that fails ends the event loop.
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    sys.unraisablehook = unless_late
