"""Compiles training and prediction for a TPU slice, on a machine that has none.

python -m maskrcnn_jax.training.aot PRESET --topology v5e:2x4 [--section.field value ...]

Takes every option of the preset, as train.py does, and needs libtpu: pip install "jax[tpu]". Each
padded size is a program for training and one for prediction; XLA takes minutes for each. The table
shows, for one device (a chip, of most kinds), the images it gets, the GiB of its memory (HBM) that
arguments, outputs, temporaries and code take, the floating-point operations of a step, and what it
exchanges with the others. Outputs that take the place of arguments are not counted again. What is
in a loop counts as one round of it: with --run.micro-batches, as one part of the device's images.
Nothing is run: no speed can be told.

Ground-truth slots are those of --input.max-objects, or 100. The exit status is 0 where everything
fits, 1 where something does not, 2 for what the user can mend.
"""

import sys
from dataclasses import dataclass
from typing import Annotated

import jax
import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.errors import exits_on_input_error
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.training.aot.cost import DoesNotFitError, measure
from maskrcnn_jax.training.aot.programs import programs
from maskrcnn_jax.training.aot.report import cost_row, heading, overflow_row, title
from maskrcnn_jax.training.aot.topology import describe, slice_mesh


@dataclass(frozen=True, kw_only=True)
class Arguments:
    # Kind and shape of the slice: v5e:2x4, v5e:16x16, v5p:4x4x4, v6e:4x4, ...
    topology: str
    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")]


def compile_all(config: ExperimentConfig, topology: str) -> bool:
    """Prints a row for each program; whether all of them fit."""
    mesh = slice_mesh(topology)
    print(f"{topology}: {describe(mesh)}\n\n{heading()}", flush=True)
    all_fit = True
    for program in programs(config, mesh):
        try:
            print(cost_row(program, measure(program)), flush=True)
        except DoesNotFitError as error:
            print(overflow_row(program), flush=True)
            print(f"error: {title(program)}: does not fit: {error}", file=sys.stderr, flush=True)
            all_fit = False
    return all_fit


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = cli.parse_with_preset(
        Arguments,
        sys.argv[1:],
        prog="python -m maskrcnn_jax.training.aot",
        usage=__doc__,
        default=lambda config: Arguments(topology=tyro.MISSING, config=config),
    )
    jax.config.update("jax_platforms", "cpu")  # of this machine; libtpu is not asked for devices
    sys.exit(0 if compile_all(arguments.config, arguments.topology) else 1)


if __name__ == "__main__":
    main()
