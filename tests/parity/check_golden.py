"""Holds a preset's model against a golden: what another system computed from the same weights.

    python tests/parity/check_golden.py GOLDEN.npz --preset NAME

Prints the largest difference of each quantity beside its bar. Exits with 0 if all are within their
bars, 1 if one is not, and 2 if the check cannot be made.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# A script finds modules beside itself only, and the presets belong to no package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import configs
from maskrcnn_jax import cli
from maskrcnn_jax.errors import exits_on_input_error
from tests.parity.comparison import table
from tests.parity.golden_comparison import check
from tests.parity.goldens import find_shapes, read_golden, read_shapes


@exits_on_input_error
def main(argv: Sequence[str] | None = None) -> None:
    """Checks one golden."""
    options = _parse(argv)
    cli.use_compilation_cache()
    golden = read_golden(options.golden)
    shapes = read_shapes(options.shapes or find_shapes(options.golden))
    differences = check(golden, shapes, config=configs.load(options.preset).model)
    print(table(differences))
    sys.exit(0 if all(item.passes for item in differences) else 1)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("golden", type=Path, metavar="GOLDEN.npz")
    parser.add_argument("--preset", required=True, metavar="NAME", help="one of configs/")
    parser.add_argument("--shapes", type=Path, help="names and shapes of the weights (JSON)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
