"""Writes held-out shapes as image files with COCO annotations, to look at and to predict on.

python -m maskrcnn_jax.data.shapes --out DIR [--num-images N]
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.data.ground_truth import write_coco_folder
from maskrcnn_jax.data.shapes.config import ShapesConfig
from maskrcnn_jax.errors import exits_on_input_error


@dataclass(frozen=True, kw_only=True)
class Arguments:
    # Images go to OUT/val, annotations to OUT/annotations.
    out: Path
    # How many are drawn.
    num_images: int = 200


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = cli.parse(
        Arguments,
        sys.argv[1:],
        prog="python -m maskrcnn_jax.data.shapes",
        description=__doc__,
        default=Arguments(out=tyro.MISSING),
    )
    config = ShapesConfig(num_eval=arguments.num_images)
    write_coco_folder(config.draw(config.eval_split), arguments.out)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
