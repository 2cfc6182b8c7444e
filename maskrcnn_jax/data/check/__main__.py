"""Lists all that is wrong with a data set in COCO layout, and what training does with each.

python -m maskrcnn_jax.data.check ROOT --split NAME [--out report.json]

ROOT is what train.py takes as --data.root. Every image file is decoded once. The exit status is 0
where nothing stops training, 1 where something does, 2 where there is no such split.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.data.check import check_split
from maskrcnn_jax.data.check.report import to_json, to_text
from maskrcnn_jax.errors import exits_on_input_error
from maskrcnn_jax.files import write_json


@dataclass(frozen=True, kw_only=True)
class Arguments:
    root: tyro.conf.Positional[Path]
    split: str
    # Every problem, as JSON; the table shows the first three of each kind.
    out: Path | None = None


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = cli.parse(
        Arguments,
        sys.argv[1:],
        prog="python -m maskrcnn_jax.data.check",
        description=__doc__,
        default=Arguments(root=tyro.MISSING, split=tyro.MISSING),
    )
    checked = check_split(arguments.root, arguments.split)
    if arguments.out is not None:
        write_json(arguments.out, to_json(checked), indent=1)
    print(to_text(checked))
    sys.exit(1 if checked.stops_training else 0)


if __name__ == "__main__":
    main()
