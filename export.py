"""Writes a trained detector into one file that runs with JAX alone.

    python export.py --workdir DIR --sizes HEIGHT WIDTH [HEIGHT WIDTH ...] --out FILE
    python export.py --init.checkpoint WEIGHTS [--preset NAME] --sizes ... --out FILE

The file takes images of these sizes and gives what predict.py finds in them: docs/export.md. One
whose name ends in .onnx is an ONNX model, for one size and a fixed number of images.
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import tyro

import configs
from maskrcnn_jax import cli
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.notes import import_notes
from maskrcnn_jax.convert.recognise import recognise_experiment, recognise_run
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.exporting.archive import write_archive
from maskrcnn_jax.exporting.onnx_file import ONNX_SUFFIX, write_onnx
from maskrcnn_jax.exporting.original_frame import MaskForm
from maskrcnn_jax.exporting.program import detection_program, export_program, flat_weights
from maskrcnn_jax.training.checkpoint import Run, load_trained


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Exports a run of train.py; its newest checkpoint is used."""

    # What train.py has written.
    workdir: Path
    # The file to write.
    out: Path
    # (height, width) of the images that it will be given; a program is written for each.
    sizes: tuple[Size, ...]
    # How many images it takes at once; None: any number, or one of an ONNX file.
    batch_size: int | None = None
    # Masks of the whole image, or probabilities over each detection's frame, which are small.
    masks: MaskForm = "pasted"


@dataclass(frozen=True, kw_only=True)
class WeightsArguments:
    """Exports weights that no run of train.py made."""

    init: InitConfig
    # Says model and input; None: what the weights show.
    preset: str | None = None
    # Annotation file in COCO's format that names the categories; None: COCO's, or numbers.
    categories: Path | None = None
    # The file to write.
    out: Path
    sizes: tuple[Size, ...]
    batch_size: int | None = None
    masks: MaskForm = "pasted"
    model: AnyDetectorConfig
    input: InputConfig


Arguments: TypeAlias = RunArguments | WeightsArguments


def of_run(options: Sequence[str], workdir: Path) -> tuple[Arguments, Run, dict[str, Any]]:
    """What is asked for, and the detector of a run: config and categories, and variables."""
    default = RunArguments(workdir=workdir, out=tyro.MISSING, sizes=tyro.MISSING)
    arguments = cli.parse(
        RunArguments, options, prog="export.py", description=__doc__, default=default
    )
    check(arguments)  # before the weights are read
    return arguments, *load_trained(workdir)


def of_weights(
    options: Sequence[str], checkpoint: Path, preset: str | None
) -> tuple[Arguments, Run, dict[str, Any]]:
    """As ``of_run``, for weights that no run of train.py made."""
    weights = read_weights(checkpoint)
    base = recognise_experiment(weights) if preset is None else configs.load(preset)
    default = WeightsArguments(
        out=tyro.MISSING,
        sizes=tyro.MISSING,
        init=InitConfig(),
        model=base.model,
        input=base.input,
    )
    arguments = cli.parse(
        WeightsArguments, options, prog="export.py", description=__doc__, default=default
    )
    check(arguments)
    config = dataclasses.replace(base, model=arguments.model, input=arguments.input)
    run = recognise_run(weights, config, categories=arguments.categories)
    for note in import_notes(weights, config.model):
        print(note)
    return arguments, run, load_detector(weights, config.model, init=arguments.init)


def export(arguments: Arguments, run: Run, variables: dict[str, Any]) -> None:
    """Writes a program for each size, and the weights."""
    weights = flat_weights(variables)
    programs = {
        size: detection_program(
            run.config.model, run.config.input, image_size=size, mask_form=arguments.masks
        )
        for size in arguments.sizes
    }
    if is_onnx(arguments):
        [(size, program)] = programs.items()
        write_onnx(
            arguments.out,
            program,
            weights,
            image_size=size,
            batch_size=arguments.batch_size or 1,
            categories=run.categories,
        )
    else:
        exported = {
            size: export_program(program, weights, image_size=size, batch_size=arguments.batch_size)
            for size, program in programs.items()
        }
        write_archive(arguments.out, exported, weights, categories=run.categories)
    print(f"written to {arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


def check(arguments: Arguments) -> None:
    """Refuses sizes and numbers that no image and no batch has."""
    if not arguments.sizes or min(side for size in arguments.sizes for side in size) < 1:
        raise InputError("--sizes must be one or more pairs HEIGHT WIDTH of positive numbers")
    if is_onnx(arguments) and len({*arguments.sizes}) > 1:
        raise InputError(f"{arguments.out}: an ONNX file is for one size; --sizes gives several")
    if arguments.batch_size is not None and arguments.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, not {arguments.batch_size}")
    check_out(arguments)


def check_out(arguments: Arguments) -> None:
    """Refuses a place where no file can be, or where one lies that is needed."""
    out, inputs = arguments.out, []
    if isinstance(arguments, WeightsArguments):
        inputs = [arguments.init.checkpoint, arguments.categories]
    if out.resolve() in [path.resolve() for path in inputs if path is not None]:
        raise InputError(f"--out {out} is read from; give another file")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder; name a file in it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)  # now, and not when all is computed
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"--out {out}: {out.parent} can be no folder") from None


def is_onnx(arguments: Arguments) -> bool:
    """Whether the name of the file asks for ONNX."""
    return arguments.out.suffix.lower() == ONNX_SUFFIX


@exits_on_input_error
def main() -> None:
    """Reads the command line: what else there is to give depends on the weights."""
    options = sys.argv[1:]
    workdir, checkpoint, preset = cli.first_look(options)
    asks_for_help = cli.help_topic(options) is not None
    if not options or (asks_for_help and workdir is checkpoint is None):
        cli.tell_usage(options, __doc__)
    if workdir is not None and checkpoint is None:
        export(*of_run(options, workdir))
    elif checkpoint is not None and workdir is None:
        export(*of_weights(options, checkpoint, preset))
    else:
        raise InputError("give either --workdir or --init.checkpoint")


if __name__ == "__main__":
    main()
