"""Converts weights between this program and Detectron2, torchvision and MMDetection.

    python -m maskrcnn_jax.convert SOURCE --to detectron2 --out model_final.pkl
    python -m maskrcnn_jax.convert SOURCE --to jax --out WORKDIR

SOURCE is a file of any of these systems (.pth, .pkl, .safetensors, .npz, recognised by content) or
a work directory of train.py. ``--to jax`` writes a work directory, for eval.py and predict.py;
``safetensors`` and ``npz`` hold this program's own names and layouts, and its config. The three
others hold the names and layouts of that system, in the container that the suffix of --out says.
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optax
import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.convert import detectron2, mmdetection, torchvision
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.notes import export_notes
from maskrcnn_jax.convert.recognise import recognise_experiment, recognise_run
from maskrcnn_jax.convert.weights import (
    OURS,
    Weights,
    from_variables,
    read_weights,
    write_weights,
)
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.training.checkpoint import Checkpoints, Run, has_checkpoint
from maskrcnn_jax.training.state import create_state

Target: TypeAlias = Literal["jax", "detectron2", "torchvision", "mmdetection", "safetensors", "npz"]

_TARGETS = {
    "detectron2": (detectron2.NAMING, (".pkl", ".pth", ".safetensors", ".npz")),
    "torchvision": (torchvision.NAMING, (".pth", ".safetensors", ".npz")),
    "mmdetection": (mmdetection.NAMING, (".pth", ".safetensors", ".npz")),
    "safetensors": (OURS, (".safetensors",)),
    "npz": (OURS, (".npz",)),
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    source: tyro.conf.Positional[Path]
    to: Target
    # A file, or for --to jax a work directory.
    out: Path
    # What SOURCE may lack or have too much of; see train.py.
    allow_missing: tuple[str, ...] = ()
    allow_unused: tuple[str, ...] = ()
    # Annotation file in COCO's format that names the classes; None: COCO's, or numbers.
    categories: Path | None = None
    # What SOURCE shows, or is the standard of its system, unless given otherwise here.
    model: AnyDetectorConfig


def convert(options: Sequence[str], source: Path) -> None:
    """Reads, translates and writes."""
    weights = read_weights(source)
    experiment = recognise_experiment(weights)
    arguments = cli.parse(
        Arguments,
        options,
        prog="python -m maskrcnn_jax.convert",
        description=__doc__,
        default=Arguments(
            source=source,
            to=tyro.MISSING,
            out=tyro.MISSING,
            model=experiment.model,
        ),
    )
    experiment = dataclasses.replace(experiment, model=arguments.model)
    run = recognise_run(weights, experiment, categories=arguments.categories)
    init = InitConfig(allow_missing=arguments.allow_missing, allow_unused=arguments.allow_unused)
    variables = load_detector(weights, arguments.model, init=init)
    if arguments.to == "jax":
        write_run(run, variables, arguments.out)
    else:
        write_file(from_variables(variables, run, where=str(source)), arguments)
    print(f"{source} ({weights.naming.system}, {len(weights.tensors)} arrays) -> {arguments.out}")


def write_run(run: Run, variables: dict[str, Any], workdir: Path) -> None:
    """A work directory as train.py leaves it, before its first step."""
    if has_checkpoint(workdir):
        raise InputError(f"{workdir} already holds a run; give another --out")
    config = run.config
    optimizer = config.optimizer.build(optax.constant_schedule(0.0))
    checkpoints = Checkpoints(workdir)
    state = create_state(
        variables,
        optimizer,
        config.model.frozen_modules(),
        with_average=config.optimizer.ema_decay is not None,
    )
    checkpoints.save(state, run)
    checkpoints.close()


def write_file(weights: Weights, arguments: Arguments) -> None:
    """A file for another system, or one with our own names."""
    naming, suffixes = _TARGETS[arguments.to]
    if arguments.out.suffix not in suffixes:
        raise InputError(
            f"--out {arguments.out}: with --to {arguments.to} the name must end in "
            f"{' or '.join(suffixes)}"
        )
    write_weights(weights, arguments.out, naming=naming)
    for note in export_notes(arguments.model, naming):
        print(note)


@exits_on_input_error
def main() -> None:
    """Reads the command line: what else there is to give depends on the source."""
    options = sys.argv[1:]
    if not options or options[0] in ("-h", "--help"):
        cli.tell_usage(options, __doc__)
    if options[0].startswith("-"):
        raise InputError(f"SOURCE comes first, before {options[0]}")
    convert(options, Path(options[0]))


if __name__ == "__main__":
    main()
