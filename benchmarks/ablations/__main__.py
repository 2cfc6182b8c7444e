"""Trains and scores every case with several seeds: ``python -m benchmarks.ablations``.

Run again, it goes on where it stopped. Ends with a table and a plot in the work directory:
``ablations.md`` and ``ablations.png``, which are also written after every round of seeds.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.ablations.cases import PLAIN, cases
from benchmarks.ablations.report import plot, table
from benchmarks.ablations.runs import Metrics, measure
from maskrcnn_jax.errors import InputError, did_you_mean, exits_on_input_error
from maskrcnn_jax.files import write_bytes


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Compares parts of the detector on procedural shapes."""

    workdir: Path = Path("runs/ablations")
    # How many times every case is trained.
    seeds: int = 3
    # Passes over the 2,000 training images.
    epochs: float = 3.2
    # Names of cases; the plain model is always among them. None: all.
    only: tuple[str, ...] | None = None


def run(arguments: Arguments) -> None:
    """All cases with the first seed, then all with the next."""
    known = cases()
    for name in arguments.only or ():
        if name not in known:
            raise InputError(f"there is no case {name!r}.{did_you_mean(name, known)}")
    chosen = [name for name in known if not arguments.only or name in (PLAIN, *arguments.only)]
    results: dict[str, dict[int, Metrics]] = {name: {} for name in chosen}
    for seed in range(arguments.seeds):
        for name in chosen:
            print(f"\n{name}, seed {seed}: {known[name].what}", flush=True)
            results[name][seed] = measure(
                known[name],
                arguments.workdir / name / f"seed{seed}",
                seed=seed,
                epochs=arguments.epochs,
                data=arguments.workdir / "data",
            )
        text = table(results, known)
        write_bytes(arguments.workdir / "ablations.md", f"{text}\n".encode())
        plot(results, arguments.workdir / "ablations.png")
        print(f"\n{text}\n\nwritten to {arguments.workdir}")


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    run(tyro.cli(Arguments, description=__doc__))


if __name__ == "__main__":
    main()
