"""Evaluates a run, or existing results, by the COCO metrics.

python eval.py --workdir DIR [--split NAME]
python eval.py --results RESULTS.json --annotations GROUND_TRUTH.json
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from maskrcnn_jax import cli
from maskrcnn_jax.data.pipeline import eval_batches
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.evaluation.coco import CocoScores, IouType, evaluate
from maskrcnn_jax.evaluation.ground_truth import read_truth, truth_of
from maskrcnn_jax.evaluation.results import coco_records, in_original_frame
from maskrcnn_jax.evaluation.results_file import read_results, scorable_types
from maskrcnn_jax.evaluation.tables import class_table, summary_table
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.files import write_json
from maskrcnn_jax.training.checkpoint import load_trained
from maskrcnn_jax.training.sharding import check_divides, data_mesh, replicate, shard_batch
from maskrcnn_jax.training.step import make_predict_step


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Give either a work directory or results with their annotations."""

    # A run of train.py; config and weights come from its newest checkpoint.
    workdir: Path | None = None
    # The split to evaluate on; None takes the data set's evaluation split.
    split: str | None = None
    # Folder of a data set in COCO layout, where it has moved since the training.
    data_root: Path | None = None
    # COCO results, and the annotations to score them against.
    results: Path | None = None
    annotations: Path | None = None
    # Where to write; None: WORKDIR/eval/SPLIT, or nowhere for existing results.
    out: Path | None = None


def evaluate_run(arguments: Arguments, workdir: Path) -> None:
    """Predicts a split, scores it, and writes results and metrics."""
    run, variables = load_trained(workdir)
    config = run.config
    data = config.data
    if arguments.data_root is not None:
        if not hasattr(data, "root"):
            raise InputError(f"--data-root: {type(data).__name__} is not read from a folder")
        data = dataclasses.replace(data, root=arguments.data_root)
    split = arguments.split or data.eval_split
    dataset = data.build(split)
    if [c.name for c in dataset.categories] != [c.name for c in run.categories]:
        raise InputError(
            f"{dataset.name} has other categories than the data that {workdir} was trained on"
        )
    results = predict_dataset(dataset, config, variables)
    truth = truth_of(dataset)
    iou_types: tuple[IouType, ...] = ("bbox",)
    if config.model.roi.mask is not None:
        iou_types = ("bbox", "segm")
    scores = evaluate(truth, results, iou_types=iou_types)

    out = arguments.out or workdir / "eval" / split
    write_json(out / "results.json", results)
    report(scores, title=f"{dataset.name}, {split}: {len(dataset.images)} images", out=out)


def predict_dataset(dataset: Dataset, config: ExperimentConfig, variables: dict) -> list[dict]:
    """COCO results for all images of a data set."""
    mesh = data_mesh()
    check_divides(config.input.eval_batch_size, mesh, "--input.eval-batch-size")
    predict = make_predict_step(config.model.build(), mesh)
    variables = replicate(variables, mesh)
    results, images = [], dataset.images
    with tqdm(total=len(images), unit="image", dynamic_ncols=True) as progress:
        for batch in eval_batches(dataset, config.input):
            detections = jax.device_get(predict(variables, shard_batch(batch, mesh)))
            for row in np.flatnonzero(batch.valid):
                index = batch.indices[row]
                found = in_original_frame(
                    jax.tree.map(lambda x, row=row: x[row], detections),
                    resized=batch.sizes[row].tolist(),
                    original=(images.heights[index], images.widths[index]),
                )
                results += coco_records(
                    found, image_id=int(images.ids[index]), categories=dataset.categories
                )
            progress.update(int(batch.valid.sum()))
    return results


def evaluate_files(results_path: Path, annotations: Path, out: Path | None) -> None:
    """Scores results that were made before."""
    truth = read_truth(annotations)
    results = read_results(results_path, truth)
    scores = evaluate(truth, results, iou_types=scorable_types(results))
    report(scores, title=f"{results_path} against {annotations}", out=out)


def report(scores: dict[IouType, CocoScores], *, title: str, out: Path | None) -> None:
    """Prints the tables and writes ``metrics.json``."""
    print(f"\n{title}\n\n{summary_table(scores)}\n\n{class_table(scores)}")
    if out is not None:
        write_json(out / "metrics.json", {k: v.as_json() for k, v in scores.items()}, indent=2)
        print(f"\nwritten to {out}")


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    arguments = cli.parse(
        Arguments, sys.argv[1:], prog="eval.py", description=__doc__, default=Arguments()
    )
    given = (arguments.workdir, arguments.results, arguments.annotations)
    match given:
        case (Path() as workdir, None, None):
            cli.use_compilation_cache()
            evaluate_run(arguments, workdir)
        case (None, Path() as results, Path() as annotations):
            evaluate_files(results, annotations, arguments.out)
        case _:
            raise InputError("give either --workdir DIR, or --results FILE and --annotations FILE")


if __name__ == "__main__":
    main()
