"""Draws the first examples that a training gets, after augmentation, as one picture.

python -m maskrcnn_jax.data.browse PRESET --out PICTURE.png [--section.field value ...]

Takes every option of the preset, as train.py does. The examples are those of the first steps of
train.py with the same options, in their order, with boxes, masks and names of their objects, and
beside each its semantic map where the preset has one. What is hatched is padding, or unknown. Above
each: file name and id; size of the file, size that it has been given, and padded size (height x
width); number of objects.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from maskrcnn_jax import cli
from maskrcnn_jax.data.browse.examples import first_examples
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.files import write_bytes
from maskrcnn_jax.pictures.inputs import input_tile
from maskrcnn_jax.pictures.sheet import encode_picture, sheet

_SUFFIXES = (".png", ".jpg", ".jpeg")
_MOST = 100  # examples on a sheet


@dataclass(frozen=True, kw_only=True)
class Arguments:
    # The picture, a PNG or JPEG.
    out: Path
    # How many examples, from the first of training on.
    num: int = 16
    # A split to be seen as if it were trained on; None: the one that is.
    split: str | None = None
    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")]

    def __post_init__(self) -> None:
        if not 1 <= self.num <= _MOST:
            raise InputError(f"--num must be between 1 and {_MOST}, not {self.num}")


def browse(arguments: Arguments) -> str:
    """Writes the picture; returns what is on it, in words."""
    config = arguments.config
    if arguments.out.suffix.lower() not in _SUFFIXES:
        raise InputError(f"--out {arguments.out}: the name must end in {' or '.join(_SUFFIXES)}")
    dataset = config.data.build(arguments.split or config.data.train_split)
    examples = first_examples(dataset, config.input, seed=config.run.seed, num=arguments.num)
    picture = sheet([input_tile(example, dataset) for example in examples])
    write_bytes(arguments.out, encode_picture(picture, suffix=arguments.out.suffix))
    return f"{arguments.out}: {arguments.num} examples of {dataset.name} {dataset.split}"


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = cli.parse_with_preset(
        Arguments,
        sys.argv[1:],
        prog="python -m maskrcnn_jax.data.browse",
        usage=__doc__,
        default=lambda config: Arguments(out=tyro.MISSING, config=config),
    )
    print(browse(arguments))


if __name__ == "__main__":
    main()
