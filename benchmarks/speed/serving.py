"""The loop of a process that is timed: it prepares one work, then does it as often as asked.

Standard library alone: peers run it, too. Requests and answers are lines of JSON.
"""

import ctypes
import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

# Called with the options of a work, gives what is to be timed; that returns when all is done.
Prepare = Callable[..., Callable[[], Any]]


def serve(works: Mapping[str, Prepare]) -> None:
    """Answers ``{"work": name, "options": {...}}`` and then any number of ``{"times": n}``.

    The answers are ``{"seconds": s}`` of preparing it and doing it once, which may compile it; and
    the seconds of each time, with the most memory that the process, or one that it has started, has
    had, in bytes.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    request = json.loads(sys.stdin.readline())
    start = time.perf_counter()
    run = works[request["work"]](**request["options"])
    _give_back_freed_memory()
    run()
    _answer(answers, {"seconds": time.perf_counter() - start})
    for line in sys.stdin:
        seconds = [_timed(run) for _ in range(json.loads(line)["times"])]
        _answer(answers, {"seconds": seconds, "peak_memory": _peak_memory()})


def _give_back_freed_memory() -> None:
    """What was freed in preparing, and the allocator still has, is no memory of the work."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc's
        libc.malloc_trim(0)


def _peak_memory() -> int:
    owners = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(owner).ru_maxrss for owner in owners) * 1024


def _timed(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _answer(stream: Any, content: dict) -> None:
    stream.write(json.dumps(content) + "\n")
    stream.flush()
