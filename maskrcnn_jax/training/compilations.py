"""Counts what JAX compiles: a program that is compiled again means that shapes have changed."""

import jax

# Programs from the persistent cache count, too: they are new to this process all the same.
_EVENT = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """What this process has compiled since the object was made."""

    def __init__(self) -> None:
        self.count = 0
        self._seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def seconds_since_asked(self) -> float:
        """The seconds that were spent on compiling since the last call; 0 where nothing was."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == _EVENT:
            self.count += 1
            self._seconds += duration_secs
