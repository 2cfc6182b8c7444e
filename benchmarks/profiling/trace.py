"""How long each operation of a compiled program takes, as XLA's own profiler says."""

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData

# `%fusion.7 = f32[8,4]{1,0} fusion(...), ..., metadata={op_name="jit(step)/..." ...}`
_NAMED = re.compile(r'^\s*(?:ROOT )?%?(?P<operation>[\w.\-]+) = .*op_name="(?P<name>[^"]*)"')


def operation_names(hlo: str) -> dict[str, str]:
    """JAX's name of each operation of a compiled program."""
    found = (_NAMED.match(line) for line in hlo.splitlines())
    return {match["operation"]: match["name"] for match in found if match}


def operation_seconds(run: Callable[[], Any], *, times: int) -> dict[str, float]:
    """Seconds of one run, by operation, without those of other operations inside of it.

    On a CPU several may run at once: the sum can exceed the time of a run.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(times):
                run()
        [path] = Path(folder).rglob("*.xplane.pb")
        data = ProfileData.from_file(str(path))
        lines = [line for plane in data.planes for line in plane.lines]
        spans = [_spans(line.events) for line in lines]
    total: dict[str, float] = defaultdict(float)
    for line in spans:
        for operation, seconds in own_seconds(line):
            total[operation] += seconds / times
    return dict(total)


def _spans(events: Iterable[Any]) -> list[tuple[float, float, str]]:
    """(start, end, operation) in nanoseconds, of the events that are operations."""
    found = []
    for event in events:
        operation: Mapping[str, Any] = dict(event.stats)
        if "hlo_op" in operation:
            end = event.start_ns + event.duration_ns
            found.append((event.start_ns, end, str(operation["hlo_op"])))
    return sorted(found, key=lambda span: (span[0], -span[1]))


def own_seconds(spans: Iterable[tuple[float, float, str]]) -> list[tuple[str, float]]:
    """What each takes without those that it contains."""
    own: list[tuple[str, float]] = []
    open_spans: list[tuple[float, int]] = []  # end, and place in ``own``
    for start, end, operation in spans:
        while open_spans and open_spans[-1][0] <= start:
            open_spans.pop()
        if open_spans:
            outer, seconds = own[open_spans[-1][1]]
            own[open_spans[-1][1]] = (outer, seconds - (end - start) / 1e9)
        open_spans.append((end, len(own)))
        own.append((operation, (end - start) / 1e9))
    return own
