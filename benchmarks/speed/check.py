"""What got slower: ``python -m benchmarks.speed.check RESULTS.json``.

Compares the ratios to peers with those that are stored in ``stored.json``: they carry over from
machine to machine, seconds do not. Exit status 1 if a ratio has fallen by more than ``tolerance``,
or a bar that was met no longer is. ``--store`` makes the results the stored ones.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from maskrcnn_jax.data.json_fields import read_json_object
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.files import write_json

STORED = Path(__file__).with_name("stored.json")


@dataclass(frozen=True, kw_only=True)
class Arguments:
    # What ``python -m benchmarks.speed`` wrote.
    results: tyro.conf.Positional[Path]
    # The share of a ratio that may be lost: machines are noisy.
    tolerance: float = 0.2
    # Make the results the stored ones.
    store: tyro.conf.FlagCreatePairsOff[bool] = False


def slower(before: Mapping[str, Any], now: Mapping[str, Any], *, tolerance: float) -> list[str]:
    """A line for each work that both have and that got slower."""
    found = []
    for name in before:
        old, new = before[name], now.get(name)
        if new is None:
            continue
        if old["ratio"] and new["ratio"] and new["ratio"] < (1 - tolerance) * old["ratio"]:
            found.append(f"{name}: ratio {new['ratio']:.2f}, stored {old['ratio']:.2f}")
        elif old["passes"] and new["passes"] is False:
            found.append(f"{name}: misses its bar, which the stored results meet")
    return found


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = tyro.cli(Arguments, description=__doc__)
    results = read_json_object(arguments.results)
    if "works" not in results:
        raise InputError(f"{arguments.results}: not results of python -m benchmarks.speed")
    if arguments.store:
        write_json(STORED, results, indent=1)
        print(f"stored in {STORED}")
        return
    stored = json.loads(STORED.read_text())
    found = slower(stored["works"], results["works"], tolerance=arguments.tolerance)
    print("\n".join(found) or "nothing got slower")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
