"""Measuring one work on all sides, in turns, and what came out."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed.contestant import Contestant, Times
from benchmarks.speed.works import OURS, PYCOCOTOOLS, Work

_OURS = "benchmarks.speed.ours"
_TORCHVISION = "benchmarks.speed.torchvision_peer"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured of one work: seconds and bytes by contestant."""

    work: Work
    times: Mapping[str, Times]

    @property
    def best(self) -> float:
        """Our shortest time."""
        return min(self.times[OURS].seconds)

    @property
    def fastest_peer(self) -> str | None:
        peers = [name for name in self.times if name != OURS]
        return min(peers, key=lambda name: min(self.times[name].seconds), default=None)

    @property
    def ratio(self) -> float | None:
        """How many times longer the fastest peer takes, each at its best."""
        peer = self.fastest_peer
        return None if peer is None else min(self.times[peer].seconds) / self.best

    @property
    def passes(self) -> bool | None:
        """Whether the bars are met; None without one, or without a peer for it."""
        checks = []
        if self.work.ratio is not None and self.ratio is not None:
            checks.append(self.ratio >= self.work.ratio)
        if self.work.seconds is not None:
            checks.append(self.best <= self.work.seconds)
        return all(checks) if checks else None

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.work.what,
            "options": dict(self.work.options),
            "seconds": {
                name: {
                    "best": min(times.seconds),
                    "median": median(times.seconds),
                    "all": list(times.seconds),
                }
                for name, times in self.times.items()
            },
            "peak_memory": {name: times.peak_memory for name, times in self.times.items()},
            "ratio": self.ratio,
            "wanted": {"ratio": self.work.ratio, "seconds": self.work.seconds},
            "passes": self.passes,
        }


def compare(work: Work, *, peer_python: Path | None, seconds: float, most_rounds: int) -> Outcome:
    """Every contestant in turn, round after round, for about so many ``seconds``.

    At least three rounds; a peer whose Python is not given is left out.
    """
    names = [OURS, *(name for name in work.peers if name in PYCOCOTOOLS or peer_python)]
    with contextlib.ExitStack() as stack:
        contestants = {
            name: stack.enter_context(_contestant(name, work, peer_python)) for name in names
        }
        rounds = [{name: _run(contestants[name]) for name in names}]
        a_round = sum(sum(times.seconds) for times in rounds[0].values())
        more = min(most_rounds, max(3, int(seconds / a_round))) - 1
        rounds += [{name: _run(contestants[name]) for name in names} for _ in range(more)]
    return Outcome(work=work, times={name: _together([r[name] for r in rounds]) for name in names})


def _contestant(name: str, work: Work, peer_python: Path | None) -> Contestant:
    options = dict(work.options)
    if name == OURS and PYCOCOTOOLS[0] in work.peers:
        options["by"] = OURS
    if name in PYCOCOTOOLS:
        options["by"] = name
    if name == OURS or name in PYCOCOTOOLS:
        return Contestant(Path(sys.executable), _OURS, work=work.kind, options=options)
    assert peer_python is not None
    _, _, layout = name.partition(" ")
    options["memory_format"] = layout or "contiguous_format"
    threads = {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))}
    return Contestant(
        peer_python, _TORCHVISION, work=work.kind, options=options, environment=threads
    )


def _run(contestant: Contestant) -> Times:
    return contestant.run()


def _together(rounds: Sequence[Times]) -> Times:
    return Times(
        seconds=tuple(s for times in rounds for s in times.seconds),
        peak_memory=max(times.peak_memory for times in rounds),
    )
