"""Evaluates a run, weights of another system, or existing results, by the COCO metrics.

    python eval.py --workdir DIR [--split NAME]
    python eval.py --init.checkpoint WEIGHTS [--preset NAME] --data.root COCO
    python eval.py --results RESULTS.json --annotations GROUND_TRUTH.json

With --report DIR each of them also writes a page to look at, DIR/index.html.
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

import configs
from maskrcnn_jax import cli
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.notes import import_notes
from maskrcnn_jax.convert.recognise import recognise_experiment
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.annotations import dropped_summary
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import DatasetConfig
from maskrcnn_jax.data.pipeline import eval_batches
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.evaluation.coco import CocoScores, evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth, truth_of
from maskrcnn_jax.evaluation.lvis import MAX_DETECTIONS
from maskrcnn_jax.evaluation.overlaps import IOU_TYPES, IouType
from maskrcnn_jax.evaluation.report import write_report
from maskrcnn_jax.evaluation.report.pictures import images_in, images_of
from maskrcnn_jax.evaluation.results import coco_records
from maskrcnn_jax.evaluation.results_file import read_results, scorable_types
from maskrcnn_jax.evaluation.tables import class_table, summary_table
from maskrcnn_jax.experiment import check_num_classes
from maskrcnn_jax.files import check_writable, write_json
from maskrcnn_jax.inference.options import TTAOptions
from maskrcnn_jax.inference.predictor import Predictor
from maskrcnn_jax.training.checkpoint import Run, load_trained


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Scores a run of train.py; model and weights come from its newest checkpoint."""

    workdir: Path
    # The split to evaluate on; None takes the data set's evaluation split.
    split: str | None = None
    # Where to write; None: WORKDIR/eval/SPLIT.
    out: Path | None = None
    # Folder for index.html, a page about the evaluation; None writes none.
    report: Path | None = None
    augmenting: Annotated[TTAOptions, tyro.conf.arg(name="")] = field(default_factory=TTAOptions)
    # As in training, unless given otherwise here.
    data: DatasetConfig
    input: InputConfig


@dataclass(frozen=True, kw_only=True)
class WeightsArguments:
    """Scores weights that no run of train.py made."""

    init: InitConfig
    # Says model, data and input; None: what the weights show, on COCO 2017.
    preset: str | None = None
    split: str | None = None
    # Folder for results.json and metrics.json; None writes nothing.
    out: Path | None = None
    # Folder for index.html, a page about the evaluation; None writes none.
    report: Path | None = None
    augmenting: Annotated[TTAOptions, tyro.conf.arg(name="")] = field(default_factory=TTAOptions)
    model: AnyDetectorConfig
    data: DatasetConfig
    input: InputConfig


@dataclass(frozen=True, kw_only=True)
class FileArguments:
    """Scores COCO results that were made before."""

    results: Path
    annotations: Path
    # Folder for metrics.json; None writes nothing.
    out: Path | None = None
    # Folder for index.html, a page about the evaluation; None writes none.
    report: Path | None = None
    # Folder in which the file names of the annotations start; only the page needs the images.
    images: Path | None = None


def evaluate_run(options: Sequence[str], workdir: Path) -> None:
    """Predicts a split, scores it, and writes results and metrics."""
    run, variables = load_trained(workdir)
    arguments = cli.parse(
        RunArguments,
        options,
        prog="eval.py",
        description=__doc__,
        default=RunArguments(workdir=workdir, data=run.config.data, input=run.config.input),
    )
    split = arguments.split or arguments.data.eval_split
    dataset = arguments.data.build(split)
    check_same_categories(dataset, run, where=str(workdir))
    out = arguments.out or workdir / "eval" / split
    predictor = Predictor(
        *(run.config.model, variables, arguments.input), augmentation=arguments.augmenting.chosen
    )
    evaluate_dataset(dataset, predictor, out=out, page=arguments.report, source=workdir)


def evaluate_weights(options: Sequence[str], checkpoint: Path, preset: str | None) -> None:
    """As ``evaluate_run``, for weights that no run of train.py made."""
    weights = read_weights(checkpoint)
    base = recognise_experiment(weights) if preset is None else configs.load(preset)
    arguments = cli.parse(
        WeightsArguments,
        options,
        prog="eval.py",
        description=__doc__,
        default=WeightsArguments(
            init=InitConfig(), preset=preset, model=base.model, data=base.data, input=base.input
        ),
    )
    dataset = arguments.data.build(arguments.split or arguments.data.eval_split)
    check_num_classes(dataset, arguments.model)
    if weights.run is not None:
        check_same_categories(dataset, weights.run, where=weights.where)
    for note in import_notes(weights, arguments.model):
        print(note)
    variables = load_detector(weights, arguments.model, init=arguments.init)
    predictor = Predictor(
        *(arguments.model, variables, arguments.input), augmentation=arguments.augmenting.chosen
    )
    evaluate_dataset(
        dataset, predictor, out=arguments.out, page=arguments.report, source=checkpoint
    )


def check_same_categories(dataset: Dataset, run: Run, *, where: str) -> None:
    """Refuses data with other categories than the run has seen."""
    if tuple(dataset.categories) != run.categories:
        raise InputError(
            f"{dataset.name} has other categories than the data that {where} was trained on"
        )


def evaluate_dataset(
    dataset: Dataset, predictor: Predictor, *, out: Path | None, page: Path | None, source: Path
) -> None:
    """Predicts all images, prints the tables, and writes results, metrics and a page.

    ``source`` is where the weights come from, for the title of the page. Whether there is a place
    to write to is found out first, and what took longest is written first.
    """
    check_places(out, page)
    if dropped := dropped_summary(dataset):
        print(dropped)
    model = predictor.model
    if dataset.federation is not None and model.max_detections < MAX_DETECTIONS:
        print(
            f"LVIS counts {MAX_DETECTIONS} detections of an image; this model gives at most "
            f"{model.max_detections} (docs/evaluation.md)"
        )
    results = predict_dataset(dataset, predictor)
    if out is not None:
        write_json(out / "results.json", results)
        print(f"predictions: {out / 'results.json'}")
    iou_types = IOU_TYPES if model.has_masks else ("bbox",)
    truth = truth_of(dataset)
    scores = evaluate(truth, results, iou_types=iou_types)
    title = f"{dataset.name}, {dataset.split}: {len(dataset.images)} images"
    publish(scores, title=title, out=out)
    if page is not None:
        title = f"{source} on {dataset.name}, {dataset.split}"
        path = write_report(page, truth, results, scores, title=title, source=images_of(dataset))
        print(f"page: {path}")


def check_places(out: Path | None, page: Path | None) -> None:
    """Raises ``InputError`` where a folder that was given cannot be written to."""
    for option, folder in (("--out", out), ("--report", page)):
        if folder is not None:
            check_writable(folder, option=option)


def predict_dataset(dataset: Dataset, predictor: Predictor) -> list[dict]:
    """COCO results for all images of a data set."""
    images = dataset.images
    batch_size = predictor.batch_size(len(images))
    config = dataclasses.replace(predictor.config, eval_batch_size=batch_size)
    batches = eval_batches(dataset, config, predictor.augmentation)

    def original_size(index: int) -> tuple[int, int]:
        return images.heights[index], images.widths[index]

    results = []
    with tqdm(total=len(images), unit="image", dynamic_ncols=True) as progress:
        for index, found in predictor.predict(batches, original_size=original_size):
            image_id = int(images.ids[index])
            results += coco_records(found, image_id=image_id, categories=dataset.categories)
            progress.update()
    return results


def evaluate_files(options: Sequence[str]) -> None:
    """Scores results that were made before."""
    arguments = cli.parse(
        FileArguments,
        options,
        prog="eval.py",
        description=__doc__,
        default=FileArguments(results=tyro.MISSING, annotations=tyro.MISSING),
    )
    page, folder = arguments.report, arguments.images
    if folder is not None and page is None:
        raise InputError("--images is for the page: give --report, too")
    truth = read_truth(arguments.annotations)
    images = None if folder is None else images_in(folder, truth)
    results = read_results(arguments.results, truth)
    check_places(arguments.out, page)
    scores = evaluate(truth, results, iou_types=scorable_types(results))
    title = f"{arguments.results} against {arguments.annotations}"
    publish(scores, title=title, out=arguments.out)
    if page is not None:
        title = f"{arguments.results.name} against {arguments.annotations.name}"
        path = write_report(page, truth, results, scores, title=title, source=images)
        print(f"page: {path}")


def publish(scores: dict[IouType, CocoScores], *, title: str, out: Path | None) -> None:
    """Prints the tables and writes ``metrics.json``."""
    print(f"\n{title}\n\n{summary_table(scores)}\n\n{class_table(scores)}")
    if out is not None:
        write_json(out / "metrics.json", {k: v.as_json() for k, v in scores.items()}, indent=2)
        print(f"\nwritten to {out}")


@exits_on_input_error
def main() -> None:
    """Reads the command line: what else there is to give depends on the run."""
    options = sys.argv[1:]
    workdir, checkpoint, preset = cli.first_look(options)
    if workdir is not None and checkpoint is not None:
        raise InputError("give either --workdir or --init.checkpoint")
    if workdir is not None:
        cli.use_compilation_cache()
        evaluate_run(options, workdir)
    elif checkpoint is not None:
        cli.use_compilation_cache()
        evaluate_weights(options, checkpoint, preset)
    elif any(option.startswith(("--results", "--annotations")) for option in options):
        evaluate_files(options)
    elif not options or cli.help_topic(options) is not None:
        cli.tell_usage(options, __doc__)
    else:
        raise InputError("give --workdir, --init.checkpoint, or --results with --annotations")


if __name__ == "__main__":
    main()
