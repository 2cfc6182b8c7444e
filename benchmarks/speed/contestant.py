"""A process that is timed, seen from outside: ``serving`` is what runs in it."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of each time, and the most memory that the process has had, in bytes."""

    seconds: tuple[float, ...]
    peak_memory: int


class Contestant:
    """One side of a comparison, with one work that it has prepared.

    Each has a process of its own, which waits while another one works. ``module`` is what the
    interpreter ``python`` runs; of ``cores`` None takes all that there are.
    """

    def __init__(
        self,
        python: Path,
        module: str,
        *,
        work: str,
        options: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = f"{module} {work}"
        self._process = subprocess.Popen(
            [str(python), "-m", module],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.preparation_seconds: float = self._ask(work=work, options=options)["seconds"]

    def run(self, *, times: int = 1) -> Times:
        """Does the work so many times."""
        answer = self._ask(times=times)
        return Times(seconds=tuple(answer["seconds"]), peak_memory=answer["peak_memory"])

    def close(self) -> None:
        self._process.communicate()

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it says of its end is on the terminal
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise InputError(f"{self._name} ended with status {status}; see above")
        return json.loads(line)
