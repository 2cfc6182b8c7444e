"""Draws what a trained detector finds.

python predict.py --workdir DIR IMAGE_OR_FOLDER ... --out DIR
python predict.py --init.checkpoint WEIGHTS [--preset NAME] IMAGE_OR_FOLDER ... --out DIR

Writes a picture for each image, and all detections as COCO results to ``results.json``.
"""

import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import jax
import numpy as np
import tyro
from tqdm import tqdm

import configs
from maskrcnn_jax import cli, out_of_memory
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.notes import import_notes
from maskrcnn_jax.convert.recognise import recognise_experiment, recognise_run
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.examples import filling_example, prediction_example
from maskrcnn_jax.data.images import read_image
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.evaluation.results import ImageDetections, coco_records, in_original_frame
from maskrcnn_jax.evaluation.rle import DecodedMasks
from maskrcnn_jax.files import write_bytes, write_json
from maskrcnn_jax.out_of_memory import prediction_advice
from maskrcnn_jax.training.checkpoint import Run, load_trained
from maskrcnn_jax.training.sharding import data_mesh, replicate, shard_batch
from maskrcnn_jax.training.step import make_predict_step
from maskrcnn_jax.visualization import draw_detections

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Predicts with a run of train.py; its newest checkpoint is used."""

    # Images, or folders of images.
    images: tyro.conf.Positional[tuple[Path, ...]]
    workdir: Path
    out: Path
    # What scores less is neither drawn nor counted; results.json has everything.
    min_score: float = 0.5


@dataclass(frozen=True, kw_only=True)
class WeightsArguments:
    """Predicts with weights that no run of train.py made."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    init: InitConfig
    # Says model and input; None: what the weights show.
    preset: str | None = None
    # Annotation file in COCO's format that names the categories; None: COCO's, or numbers.
    categories: Path | None = None
    out: Path
    min_score: float = 0.5
    model: AnyDetectorConfig
    input: InputConfig


Arguments: TypeAlias = RunArguments | WeightsArguments


def of_run(options: Sequence[str], workdir: Path) -> tuple[Arguments, Run, dict[str, Any]]:
    """What is asked for, and the detector of a run: config and categories, and variables."""
    default = RunArguments(images=tyro.MISSING, workdir=workdir, out=tyro.MISSING)
    arguments = cli.parse(
        RunArguments, options, prog="predict.py", description=__doc__, default=default
    )
    find_images(arguments.images)  # refuses before the weights are read
    return arguments, *load_trained(workdir)


def of_weights(
    options: Sequence[str], checkpoint: Path, preset: str | None
) -> tuple[Arguments, Run, dict[str, Any]]:
    """As ``of_run``, for weights that no run of train.py made."""
    weights = read_weights(checkpoint)
    base = recognise_experiment(weights) if preset is None else configs.load(preset)
    default = WeightsArguments(
        images=tyro.MISSING, out=tyro.MISSING, init=InitConfig(), model=base.model, input=base.input
    )
    arguments = cli.parse(
        WeightsArguments, options, prog="predict.py", description=__doc__, default=default
    )
    config = dataclasses.replace(base, model=arguments.model, input=arguments.input)
    run = recognise_run(weights, config, categories=arguments.categories)
    for note in import_notes(weights, config.model):
        print(note)
    return arguments, run, load_detector(weights, config.model, init=arguments.init)


def predict(arguments: Arguments, run: Run, variables: dict[str, Any]) -> None:
    """Goes through the images one by one."""
    paths = find_images(arguments.images)
    config, categories = run.config, run.categories
    mesh = data_mesh()
    predict_step = make_predict_step(config.model.build(), mesh)
    variables = replicate(variables, mesh)
    names = [category.name for category in categories]

    records, total = [], Counter()
    progress = tqdm(paths.items(), unit="image", dynamic_ncols=True)
    for image_id, (name, path) in enumerate(progress, start=1):
        image = read_image(path)
        example = prediction_example(image, config.input, name=str(path), index=image_id)
        padded_size = (example.images.shape[0], example.images.shape[1])
        filling = [filling_example(padded_size=padded_size)] * (mesh.size - 1)
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), example, *filling)
        detections = jax.device_get(predict_step(variables, shard_batch(batch, mesh)))
        found = in_original_frame(
            jax.tree.map(lambda x: x[0], detections),
            resized=batch.sizes[0].tolist(),
            original=image.shape[:2],
            paste=config.model.paste,
        )
        for record in coco_records(found, image_id=image_id, categories=categories):
            records.append(record | {"file_name": str(path)})
        shown = np.flatnonzero(found.scores >= arguments.min_score)
        save_picture(arguments.out / name, picture(image, found, shown, names))
        counts = Counter(names[label] for label in found.labels[shown])
        progress.write(f"{path}: {as_text(counts)}")
        total += counts
    write_json(arguments.out / "results.json", records)
    print(f"{len(paths)} images: {as_text(total)}\nwritten to {arguments.out}")


def find_images(places: Sequence[Path]) -> dict[Path, Path]:
    """The images at all places, by the name (relative path) that their pictures get."""
    found: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise InputError(f"{place}: there is no such image or folder")
        images = [place]
        if place.is_dir():
            images = sorted(p for p in place.rglob("*") if p.suffix.lower() in _SUFFIXES)
            if not images:
                raise InputError(
                    f"{place}: no images ({', '.join(sorted(_SUFFIXES))}) in this folder"
                )
        for path in images:
            name = path.relative_to(place) if place.is_dir() else Path(path.name)
            name = name.with_suffix(".png") if path.suffix.lower() != ".png" else name
            if found.setdefault(name, path) != path:
                raise InputError(f"{path} and {found[name]} would both become {name}; rename one")
    return found


def picture(
    image: np.ndarray, found: ImageDetections, shown: np.ndarray, names: Sequence[str]
) -> np.ndarray:
    """The image with the chosen detections drawn on it."""
    masks = None
    if found.segmentations is not None:
        masks = DecodedMasks([found.segmentations[index] for index in shown])
    return draw_detections(
        image,
        boxes=found.boxes[shown],
        labels=found.labels[shown],
        scores=found.scores[shown],
        masks=masks,
        names=names,
    )


def save_picture(path: Path, image: np.ndarray) -> None:
    """Writes RGB as PNG."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_bytes(path, encoded.tobytes())


def as_text(counts: Counter) -> str:
    """For example ``2 person, 1 dog``."""
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"


@exits_on_input_error
def main() -> None:
    """Reads the command line: what else there is to give depends on the weights."""
    options = sys.argv[1:]
    workdir, checkpoint, preset = cli.first_look(options)
    asks_for_help = bool({"-h", "--help"} & {*options})
    if not options or (asks_for_help and workdir is checkpoint is None):
        print(__doc__)
        sys.exit(0 if options else 2)
    cli.use_compilation_cache()
    if workdir is not None and checkpoint is None:
        arguments, run, variables = of_run(options, workdir)
    elif checkpoint is not None and workdir is None:
        arguments, run, variables = of_weights(options, checkpoint, preset)
    else:
        raise InputError("give either --workdir or --init.checkpoint")
    with out_of_memory.explained(prediction_advice(run.config.input, batch_size=1)):
        predict(arguments, run, variables)


if __name__ == "__main__":
    main()
