"""A table of outcomes."""

from collections.abc import Mapping
from statistics import quantiles

from benchmarks.speed.comparison import Outcome
from benchmarks.speed.contestant import Times
from benchmarks.speed.works import OURS

_COLUMNS = ("work", "what", "ours", "peer", "ratio", "wanted", "memory", "peer's")


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Markdown: the best time of each side, with half of the range of its middle half."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    rows += [_row(name, outcome) for name, outcome in outcomes.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, outcome: Outcome) -> tuple[str, ...]:
    peer, ours = outcome.fastest_peer, outcome.times[OURS]
    theirs = None if peer is None else outcome.times[peer]
    mark = {True: "", False: " **missed**", None: ""}[outcome.passes]
    return (
        f"`{name}`",
        outcome.work.what,
        _time(ours),
        "" if theirs is None else f"{_time(theirs)} {peer}",
        "" if outcome.ratio is None else f"{outcome.ratio:.2f}",
        _wanted(outcome) + mark,
        _gigabytes(ours),
        "" if theirs is None else _gigabytes(theirs),
    )


def _wanted(outcome: Outcome) -> str:
    parts = []
    if outcome.work.ratio is not None:
        parts.append(f"ratio {outcome.work.ratio:g}")
    if outcome.work.seconds is not None:
        parts.append(_seconds(outcome.work.seconds))
    return ", ".join(parts)


def _time(times: Times) -> str:
    if len(times.seconds) < 4:
        return _seconds(min(times.seconds))
    low, _, high = quantiles(times.seconds, n=4)
    return f"{_seconds(min(times.seconds))} ± {_seconds((high - low) / 2)}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def _gigabytes(times: Times) -> str:
    return f"{times.peak_memory / 1e9:.2f} GB"
