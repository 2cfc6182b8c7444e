"""Finds objects in images and videos, with a trained detector.

    python predict.py --workdir DIR IMAGE_OR_FOLDER ... --out DIR
    python predict.py --workdir DIR VIDEO ... --out DIR
    python predict.py --workdir DIR --camera 0 --out DIR
    python predict.py --init.checkpoint WEIGHTS [--preset NAME] (any of these)

Writes a picture for each image, and all detections as COCO results to ``results.json``. A command
that was stopped goes on after the last finished image when it is given again; one that has come to
its end begins anew. ``docs/prediction.md`` has the rest. For a video or camera it writes the video
with identities drawn on it, COCO results and counts over time: ``docs/video.md``.

Exit status: 0 when all is done; 1 when some images could not be read, which are named; 2 for what
the user can mend, told in a message; 130 after Ctrl-C, but 0 where it ends a camera.
"""

import contextlib
import dataclasses
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import tyro
from tqdm import tqdm

import configs
from maskrcnn_jax import cli
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_detector
from maskrcnn_jax.convert.notes import import_notes
from maskrcnn_jax.convert.recognise import recognise_experiment, recognise_run
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError, exits_on_input_error
from maskrcnn_jax.evaluation.results import check_class_names, coco_records
from maskrcnn_jax.evaluation.tables import count_table
from maskrcnn_jax.inference.files import find_images, predict_files
from maskrcnn_jax.inference.journal import Job, Journal, fingerprint, opened_journal
from maskrcnn_jax.inference.options import OutputOptions, TTAOptions, VideoOptions
from maskrcnn_jax.inference.outputs import check_outputs, write_outputs
from maskrcnn_jax.inference.places import Place, passed_over, search
from maskrcnn_jax.inference.predictor import Predictor
from maskrcnn_jax.inference.videos import Sources, check_video_outputs, find_sources, predict_video
from maskrcnn_jax.training.checkpoint import Run, load_trained


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Predicts with a run of train.py; its newest checkpoint is used."""

    # Images, or folders of images; or videos, or folders of them. Nothing with --camera.
    images: tyro.conf.Positional[tuple[Path, ...]]
    # What train.py has written.
    workdir: Path
    # Folder for all that is written.
    out: Path
    output: Annotated[OutputOptions, tyro.conf.arg(name="")] = field(default_factory=OutputOptions)
    augmenting: Annotated[TTAOptions, tyro.conf.arg(name="")] = field(default_factory=TTAOptions)
    video: Annotated[VideoOptions, tyro.conf.arg(name="")] = field(default_factory=VideoOptions)
    # As in training, unless given otherwise here.
    input: InputConfig


@dataclass(frozen=True, kw_only=True)
class WeightsArguments:
    """Predicts with weights that no run of train.py made."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    init: InitConfig
    # Says model and input; None: what the weights show.
    preset: str | None = None
    # Annotation file in COCO's format that names the categories; None: COCO's, or numbers.
    categories: Path | None = None
    # Folder for all that is written.
    out: Path
    output: Annotated[OutputOptions, tyro.conf.arg(name="")] = field(default_factory=OutputOptions)
    augmenting: Annotated[TTAOptions, tyro.conf.arg(name="")] = field(default_factory=TTAOptions)
    video: Annotated[VideoOptions, tyro.conf.arg(name="")] = field(default_factory=VideoOptions)
    model: AnyDetectorConfig
    input: InputConfig


Arguments: TypeAlias = RunArguments | WeightsArguments


def of_run(options: Sequence[str], workdir: Path) -> tuple[Arguments, Run, dict[str, Any]]:
    """What is asked for, and the detector of a run: config and categories, and variables."""
    run, variables = load_trained(workdir)
    default = RunArguments(
        images=tyro.MISSING, workdir=workdir, out=tyro.MISSING, input=run.config.input
    )
    arguments = cli.parse(
        RunArguments, options, prog="predict.py", description=__doc__, default=default
    )
    config = dataclasses.replace(run.config, input=arguments.input)
    return arguments, dataclasses.replace(run, config=config), variables


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


def predict(
    arguments: Arguments, run: Run, variables: dict[str, Any], places: Sequence[Place]
) -> None:
    """Goes through the images that are not done yet, and sums up."""
    output, images = arguments.output, find_images(places)
    check_class_names(output.classes, known=[category.name for category in run.categories])
    has_masks = run.config.model.has_masks
    check_outputs(output.save, images, out=arguments.out, has_masks=has_masks)
    with opened_journal(arguments.out, job_of(arguments, run, variables)) as journal:
        left = journal.left_of(images)
        if len(left) < len(images):
            print(f"going on: {len(images) - len(left)} of {len(images)} images are done")
        predictor = predictor_of(arguments, run, variables)
        unreadable = predict_left(
            *(arguments, predictor, journal, left),
            batch_size=predictor.batch_size(len(images)),
            categories=run.categories,
        )
        sum_up(journal, list(images), unreadable=unreadable, out=arguments.out)


def predict_left(
    arguments: Arguments,
    predictor: Predictor,
    journal: Journal,
    left: Mapping[Path, Path],
    *,
    batch_size: int,
    categories: Sequence[Category],
) -> list[str]:
    """Image by image, until all that is wanted is written. Tells why some could not be read."""
    output, names = arguments.output, {path: name for name, path in left.items()}
    unreadable: list[str] = []
    with tqdm(total=len(left), unit="image", dynamic_ncols=True) as progress:

        def pass_over(path: Path, error: Exception) -> None:
            message = str(error)
            unreadable.append(message if str(path) in message else f"{path}: {message}")
            progress.update()

        results = predict_files(predictor, list(names), batch_size=batch_size, on_error=pass_over)
        for file, found in results:
            name = names[file.path]
            shown = found.passing(min_score=output.min_score, classes=output.classes)
            counts = Counter(found.select(shown).names)
            write_outputs(
                *(arguments.out, name, file.image, found), shown=shown, outputs=output.save
            )
            records = coco_records(found, image_id=0, categories=categories)
            journal.add(name, file.path, records, version=file.version, counts=counts)
            progress.write(f"{file.path}: {as_text(counts)}")
            progress.update()
    return unreadable


def job_of(arguments: Arguments, run: Run, variables: dict[str, Any]) -> Job:
    """What another command must have in common with this one to go on with its results."""
    return Job(
        weights=fingerprint(variables),
        model=run.config.model,
        categories=run.categories,
        eval_short_side=run.config.input.eval_short_side,
        long_side=run.config.input.long_side,
        padded_sizes=run.config.input.padded_sizes,
        augmentation=arguments.augmenting.chosen,
        output=arguments.output,
    )


def sum_up(
    journal: Journal, names: Sequence[Path], *, unreadable: Sequence[str], out: Path
) -> None:
    """Writes results.json, and tells what was found and what could not be read."""
    done = [name for name in names if name in journal]
    if not done:
        raise InputError("\n".join(unreadable))
    journal.write_results(names)
    print(f"\n{len(done)} images\n\n{count_table([journal.counts(name) for name in done])}\n")
    print(f"written to {out}")
    if unreadable:
        print(f"\n{len(unreadable)} images could not be used:", *unreadable, sep="\n")
        print("Mend or remove them, and run the same command again: the others are done.")
        sys.exit(1)
    journal.remove()


def predict_videos(
    arguments: Arguments, run: Run, variables: dict[str, Any], sources: Sources
) -> None:
    """Goes through videos, or looks at a camera, and tells what was seen."""
    check_class_names(arguments.output.classes, known=[item.name for item in run.categories])
    check_video_outputs(arguments.output.save)
    predictor = predictor_of(arguments, run, variables)
    for name, open_source in sources.items():
        with contextlib.closing(open_source()) as video:
            num_frames, objects = predict_video(
                *(predictor, video, arguments.out / name),
                categories=run.categories,
                output=arguments.output,
                options=arguments.video,
            )
        print(f"{video.name}: {num_frames} frames, different objects: {as_text(objects)}")
        if video.is_stopped and arguments.video.camera is None:
            sys.exit(130)
    print(f"written to {arguments.out}")


def predictor_of(arguments: Arguments, run: Run, variables: dict[str, Any]) -> Predictor:
    """The detector on all devices."""
    return Predictor(
        *(run.config.model, variables, run.config.input),
        class_names=[category.name for category in run.categories],
        augmentation=arguments.augmenting.chosen,
    )


def as_text(counts: Counter[str]) -> str:
    """For example ``2 person, 1 dog``."""
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"


def check_places(arguments: Arguments) -> None:
    """Refuses a file for a folder, and images that were taken for names of classes."""
    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out {arguments.out} is a file; name a folder")
    taken = [name for name in arguments.output.classes if Path(name).exists()]
    if taken and not arguments.images and arguments.video.camera is None:
        raise InputError(f"--classes has taken {taken[0]}, too: put images before --classes")


@exits_on_input_error
def main() -> None:
    """Reads the command line: what else there is to give depends on the weights."""
    options = sys.argv[1:]
    workdir, checkpoint, preset = cli.first_look(options)
    asks_for_help = cli.help_topic(options) is not None
    if not options or (asks_for_help and workdir is checkpoint is None):
        cli.tell_usage(options, __doc__)
    cli.use_compilation_cache()
    if workdir is not None and checkpoint is None:
        detector = of_run(options, workdir)
    elif checkpoint is not None and workdir is None:
        detector = of_weights(options, checkpoint, preset)
    else:
        raise InputError("give either --workdir or --init.checkpoint")
    arguments = detector[0]
    check_places(arguments)
    places = [search(path, out=arguments.out) for path in arguments.images]
    sources = find_sources(places, arguments.video, out=arguments.out)
    for line in passed_over(places):
        print(line)
    try:
        if sources:
            predict_videos(*detector, sources)
        else:
            predict(*detector, places)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on after the last finished image")
        sys.exit(130)


if __name__ == "__main__":
    main()
