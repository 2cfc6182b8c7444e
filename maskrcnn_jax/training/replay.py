"""Does a step again that was not finite, and shows where that began.

python -m maskrcnn_jax.training.replay WORKDIR

reads what train.py has left in WORKDIR/failure.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.structures import Batch
from maskrcnn_jax.training.checkpoint import Checkpoints, Run, has_checkpoint
from maskrcnn_jax.training.examine import Kind, Part, examine
from maskrcnn_jax.training.failure import NamedBatch, read_batch
from maskrcnn_jax.training.state import initial_variables, split

_DESCRIPTIONS: dict[Kind, str] = {
    "weight": "the weight {}: the steps before were too long",
    "output": "the output of {}",
    "loss": "the loss {}, whose inputs are finite",
    "gradient": "the gradient of {}; the losses are finite",
    "norm": "{}: all gradients are finite, but their squares are not",
}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    workdir: tyro.conf.Positional[Path]


def replay(workdir: Path) -> Iterator[str]:
    """The lines that describe the failed step of a run."""
    folder = workdir / "failure"
    if not has_checkpoint(folder):
        raise InputError(f"{workdir} holds no failed step (there is no {folder})")
    named = read_batch(folder / "batch.npz")
    checkpoints = Checkpoints(folder)
    run, step = checkpoints.restore_run(), checkpoints.latest_step() or 0
    model = run.config.model.build()
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    params, constants = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device),
        jax.eval_shape(
            lambda: split(initial_variables(model, seed=0), run.config.model.frozen_modules())
        ),
    )
    state = checkpoints.restore_parts({"params": params, "constants": constants})
    checkpoints.close()

    height, width = named.batch.images.shape[1:3]
    yield f"step {step + 1}: {len(named.names())} images of {height}x{width}"
    parts = examine(model, **state, batch=named.batch, seed=run.config.run.seed, step=step)
    yield from table(parts, named)
    yield from conclusion(parts, named, run)


def table(parts: Sequence[Part], named: NamedBatch) -> Iterator[str]:
    """A line for each of the outermost modules, and for each term of the loss."""
    yield f"{'':32} {'largest':>10}  not finite"
    yield _line("weights", [part for part in parts if part.kind == "weight"])
    outputs = [part for part in parts if part.kind == "output"]
    for part in outputs:
        if not any(part.name.startswith(f"{other.name}/") for other in outputs):
            yield _line(part.name, [part], named)
    for part in parts:
        if part.kind == "loss":
            yield _line(f"loss {part.name}", [part], named)
    yield _line("gradients", [part for part in parts if part.kind == "gradient"])
    yield _line("gradient_norm", [part for part in parts if part.kind == "norm"])


def conclusion(parts: Sequence[Part], named: NamedBatch, run: Run) -> Iterator[str]:
    """Where it begins, and in which images with which objects."""
    first = next((part for part in parts if part.not_finite), None)
    if first is None:
        yield "Everything is finite here: the machine of the run rounds in another way."
        return
    yield f"It begins with {_DESCRIPTIONS[first.kind].format(first.name)}."
    weights = [part for part in parts if part.kind == "weight"]
    largest = max(weights, key=lambda part: np.nan_to_num(part.largest, nan=np.inf))
    yield f"The largest weight is {largest.largest:.3g}, in {largest.name}."
    if first.kind in ("output", "loss"):
        for row in first.not_finite:
            yield f"image {named.names()[row]}:"
            yield from _objects(jax.tree.map(lambda x, row=row: x[row], named.batch), run)


def _line(title: str, parts: Sequence[Part], named: NamedBatch | None = None) -> str:
    largest = max((part.largest for part in parts), key=lambda x: np.nan_to_num(x, nan=np.inf))
    wrong = [part for part in parts if part.not_finite]
    if named is None:
        told = f"{len(wrong)} of {len(parts)} arrays" if wrong else ""
    else:
        told = ", ".join(named.names()[row] for part in wrong for row in part.not_finite)
    return f"{title:32} {largest:10.3g}  {told}".rstrip()


def _objects(image: Batch, run: Run) -> Iterator[str]:
    """The objects of an image whose boxes are not ordinary, or how many ordinary ones it has."""
    truth = image.ground_truth
    odd = [
        (int(label), box, oddity)
        for box, label, valid in zip(truth.boxes, truth.labels, truth.valid, strict=True)
        if valid and (oddity := _oddity(np.asarray(box, np.float64), np.asarray(image.sizes)))
    ]
    for label, box, oddity in odd:
        numbers = " ".join(f"{value:.6g}" for value in box)
        yield f"  {run.categories[label].name}, box {numbers}: {oddity}"
    if not odd:
        yield f"  its {int(truth.valid.sum())} objects have ordinary boxes"


def _oddity(box: np.ndarray, size: np.ndarray) -> str:
    """What is strange about an XYXY box in an image of (height, width)."""
    sides = box[2:] - box[:2]
    if not np.isfinite(box).all():
        return "not finite"
    if (sides <= 0).any():
        return "no area"
    if (box[:2] < 0).any() or (box[2:] > size[::-1]).any():
        return f"outside the image of {size[0]}x{size[1]}"
    return "thinner than a pixel" if (sides < 1).any() else ""


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = cli.parse(
        Arguments,
        sys.argv[1:],
        prog="python -m maskrcnn_jax.training.replay",
        description=__doc__,
        default=Arguments(workdir=tyro.MISSING),
    )
    cli.use_compilation_cache()
    for line in replay(arguments.workdir):
        print(line, flush=True)


if __name__ == "__main__":
    main()
