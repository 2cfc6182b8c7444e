"""SIGTERM (a scheduler takes the machine away) and SIGINT (Ctrl-C) end a run after a step."""

import os
import signal
from collections import deque
from types import FrameType

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.training.sharding import DATA_AXIS

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Steps between a signal and the end of a run of several processes: an answer that old has arrived,
# so that nobody waits for it.
_DELAY = 2


class Interruption:
    """Between ``with`` and its end, the first signal is noted; a second one ends the process.

    A scheduler may tell processes at different times, or one of them only. All see the signal after
    the same step.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._received = 0
        self._answers: deque[jax.Array] = deque()

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        if jax.process_count() > 1:
            self._answers.extend(self._largest_of_all(0) for _ in range(_DELAY))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def signal_number(self) -> int:
        """What was received by this process or another, 0 for nothing; once after each step."""
        if jax.process_count() == 1:
            return self._received
        self._answers.append(self._largest_of_all(self._received))
        return int(self._answers.popleft())

    def _note(self, number: int, _: FrameType | None) -> None:
        self._received = number
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_DFL)
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: saves after a step and ends; once more ends now\n".encode())

    def _largest_of_all(self, number: int) -> jax.Array:
        numbers = np.full(jax.local_device_count(), number, np.int32)
        sharding = NamedSharding(self._mesh, P(DATA_AXIS))
        numbers = jax.make_array_from_process_local_data(sharding, numbers)
        return jax.jit(jnp.max, out_shardings=NamedSharding(self._mesh, P()))(numbers)
