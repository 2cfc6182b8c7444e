"""Trains a preset: ``python train.py PRESET --workdir DIR [--section.field value ...]``.

The same command run again continues from the newest checkpoint in DIR, bit by bit as if it had
never stopped. ``python train.py PRESET --help`` shows what can be chosen, ``--help SECTION`` tells
about it, and ``--debug`` shows the traceback of an error. A file ``NAME.json`` takes the place of a
preset: a config in the form in which checkpoints keep theirs.

Exit status: 0 when training is done; 2 for what the user can mend, told in a message; 143 after
SIGTERM and 130 after SIGINT (Ctrl-C), which save a checkpoint after the current step. Before the
first step, and a second time, they end the run at once.
"""

import contextlib
import dataclasses
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jax
import optax
import tyro

import configs
from maskrcnn_jax import cli, out_of_memory
from maskrcnn_jax.convert.loading import load_weights
from maskrcnn_jax.convert.notes import import_notes
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.annotations import dropped_summary
from maskrcnn_jax.data.coco_format import CocoFormatConfig
from maskrcnn_jax.data.coco_format.layout import splits_of
from maskrcnn_jax.data.pipeline import count_object_slots, train_batches
from maskrcnn_jax.data.plan import TrainPlan
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.semantic_maps import require_every_map
from maskrcnn_jax.errors import exits_on_input_error
from maskrcnn_jax.experiment import ExperimentConfig, check_num_classes, check_semantic_maps
from maskrcnn_jax.norms import FrozenBatchNormConfig
from maskrcnn_jax.out_of_memory import training_advice
from maskrcnn_jax.training.checkpoint import Checkpoints, Run, check_same_run
from maskrcnn_jax.training.distributed import DistributedConfig, say, start_processes
from maskrcnn_jax.training.failure import fail
from maskrcnn_jax.training.interruption import Interruption
from maskrcnn_jax.training.log import TrainingLog
from maskrcnn_jax.training.log_outputs import open_outputs
from maskrcnn_jax.training.pictures import TrainingPictures
from maskrcnn_jax.training.sharding import check_divides, data_mesh, place_state, shard_batch
from maskrcnn_jax.training.state import (
    TrainState,
    count_parameters,
    create_state,
    initial_variables,
)
from maskrcnn_jax.training.step import make_train_step


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What is read first: processes must have met before anything is done with JAX."""

    distributed: DistributedConfig = field(default_factory=DistributedConfig)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    workdir: Path
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")]


def train(config: ExperimentConfig, workdir: Path) -> None:
    """The whole story of a run."""
    # ---- data, model, optimizer ------------------------------------------------------------------
    mesh = data_mesh()
    dataset, plan = open_data(config, mesh)
    num_steps = config.optimizer.schedule.num_steps(plan.steps_per_epoch)
    peak_rate = config.optimizer.peak(config.input.batch_size)
    learning_rate = config.optimizer.schedule.build(peak_rate, plan.steps_per_epoch)
    optimizer = config.optimizer.build(learning_rate)
    model = config.model.build()

    # ---- the state to begin with, or where the last run stopped ----------------------------------
    checkpoints = Checkpoints(workdir, keep=config.run.keep_checkpoints)
    is_new = checkpoints.latest_step() is None
    state = first_state(config, optimizer, mesh, needs_weights=is_new)
    run = Run(config=config, categories=tuple(dataset.categories), position=0)
    if not is_new:
        state, run = resume(checkpoints, state, run, workdir)
    start = int(state.step)
    if start >= num_steps:
        say(f"{workdir}: training is done ({start} steps)")
        return
    say(
        f"{len(dataset.images)} images, {len(dataset.categories)} categories; "
        f"{count_parameters(state.params):,} trained parameters; "
        f"steps {start} to {num_steps} on {mesh.size} {jax.devices()[0].platform} device(s)"
    )

    # ---- the loop --------------------------------------------------------------------------------
    step_fn = make_train_step(
        model,
        optimizer,
        mesh,
        seed=config.run.seed,
        ema_decay=config.optimizer.ema_decay,
        micro_batches=config.run.micro_batches,
        shard_state=config.run.shard_state,
    )
    pictures = TrainingPictures(config, dataset, mesh)
    log = TrainingLog(
        open_outputs(workdir, config, start=start),
        start=start,
        num_steps=num_steps,
        every=config.run.log_every,
        images_per_step=config.input.batch_size,
        learning_rate=learning_rate,
        unlogged=run.unlogged,
    )
    batches = train_batches(
        dataset,
        config.input,
        seed=config.run.seed,
        start=run.position,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    with (
        checkpoints,
        contextlib.closing(batches),
        contextlib.closing(log),
        Interruption(mesh) as interruption,
    ):
        for step in range(start + 1, num_steps + 1):
            batch = next(batches)
            state, metrics = step_fn(state, shard_batch(batch, mesh))
            log.add(metrics, image_shape=batch.images.shape)

            stopped_by = interruption.signal_number()
            saves = stopped_by or step == num_steps or step % config.run.checkpoint_every == 0
            if saves or log.is_due():
                if not state.finite:  # waits until the step is done
                    failed = int(state.step) + 1
                    run = dataclasses.replace(run, position=batches.position - 1 - step + failed)
                    fail(workdir, state, run, dataset=dataset, metrics=log.metrics_of(failed))
                checkpoints.check()
            if log.is_due():
                log.write()
            if pictures.are_due(step):
                log.write_picture(pictures.draw(step, state, batch))
            if saves:
                run = dataclasses.replace(run, position=batches.position, unlogged=log.unlogged())
                checkpoints.save(state, run)
            if stopped_by:
                break
    if stopped_by:
        name = signal.Signals(stopped_by).name
        say(f"{name}: saved after step {step} of {num_steps}; the same command goes on from there")
        sys.exit(128 + stopped_by)
    say(f"trained for {num_steps} steps; {how_to_evaluate(config, workdir)}")


def how_to_evaluate(config: ExperimentConfig, workdir: Path) -> str:
    """The command that comes next; of data with nothing held out, on what it was trained on."""
    command, data = f"evaluate: python eval.py --workdir {workdir}", config.data
    if isinstance(data, CocoFormatConfig) and data.eval_split not in splits_of(data.root):
        return f"{command} --split {data.train_split} (it has seen these images: none are held out)"
    return command


def open_data(config: ExperimentConfig, mesh: jax.sharding.Mesh) -> tuple[Dataset, TrainPlan]:
    """The training images and their order; refuses, before anything is written, what cannot be."""
    dataset = config.data.build(config.data.train_split)
    check_num_classes(dataset, config.model)
    check_semantic_maps(config)
    require_every_map(dataset, config.input)
    check_divides(config.input.batch_size, mesh, micro_batches=config.run.micro_batches)
    count_object_slots(dataset, config.input)
    plan = TrainPlan(dataset, config.input, seed=config.run.seed)
    report_left_out(dataset, plan)
    return dataset, plan


def first_state(
    config: ExperimentConfig,
    optimizer: optax.GradientTransformation,
    mesh: jax.sharding.Mesh,
    *,
    needs_weights: bool,
) -> TrainState:
    """The state before the first step, or only one of the same shape."""
    variables = initial_variables(config.model.build(), seed=config.run.seed)
    if needs_weights:
        variables = first_weights(variables, config)
    with_average = config.optimizer.ema_decay is not None
    frozen_modules = config.model.frozen_modules()
    state = create_state(variables, optimizer, frozen_modules, with_average=with_average)
    return place_state(state, mesh, sharded=config.run.shard_state)


def resume(
    checkpoints: Checkpoints, state: TrainState, run: Run, workdir: Path
) -> tuple[TrainState, Run]:
    """State and position of the checkpoint, if it is one of the same run."""
    before = checkpoints.restore_run()
    for change in check_same_run(before, run, workdir):
        say(f"changed: {change}")
    run = dataclasses.replace(run, position=before.position, unlogged=before.unlogged)
    state = checkpoints.restore_state(state)
    checkpoints.tidy()
    return state, run


def first_weights(variables: dict[str, Any], config: ExperimentConfig) -> dict[str, Any]:
    """Random weights, or those of ``--init.checkpoint`` or ``--init.backbone``."""
    norm, init = config.model.backbone.norm, config.init
    path = init.backbone or init.checkpoint
    if path is not None:
        weights = read_weights(path)
        weights = weights if init.backbone is None else weights.backbone_alone()
        say(f"{weights.where}: {len(weights.tensors)} arrays ({weights.naming.system})")
        for note in import_notes(weights, config.model):
            say(note)
        return load_weights(variables, weights, backbone_norm=norm, init=init)
    if isinstance(norm, FrozenBatchNormConfig):
        say(
            "warning: a backbone with frozen norms starts from random weights and will hardly "
            "learn; give ImageNet weights with --init.backbone FILE"
        )
    return variables


def report_left_out(dataset: Dataset, plan: TrainPlan) -> None:
    """Says what of the data set does not take part in training."""
    if dropped := dropped_summary(dataset):
        say(dropped)
    if plan.num_dropped:
        say(
            f"{dataset.name} {dataset.split}: left out {plan.num_dropped} of "
            f"{len(dataset.images)} images, which have no objects "
            "(--input.keep-empty True trains on them)"
        )


@exits_on_input_error
def main() -> None:
    """Reads the command line."""
    preset, options = cli.preset_first(sys.argv[1:], usage=__doc__, presets=configs.names())
    if cli.help_topic(options) is None:
        start_processes(cli.some_of(Launch, options, default=Launch()).distributed)
    fitted = configs.fit(preset, options)
    arguments = cli.parse(
        Arguments,
        options,
        prog=f"train.py {preset}",
        description=configs.describe(preset),
        default=Arguments(workdir=tyro.MISSING, config=fitted.config),
    )
    cli.use_compilation_cache()
    for line in fitted.explain(arguments.config):
        say(line)
    with out_of_memory.explained(training_advice(arguments.config)):
        train(arguments.config, arguments.workdir)


if __name__ == "__main__":
    main()
