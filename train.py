"""Trains a preset: ``python train.py PRESET --workdir DIR [--section.field value ...]``.

The same command run again continues from the newest checkpoint in DIR. ``python train.py PRESET
--help`` lists all options.
"""

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

import configs
from maskrcnn_jax import cli
from maskrcnn_jax.convert.loading import load_weights
from maskrcnn_jax.convert.recognise import import_notes
from maskrcnn_jax.convert.weights import read_weights
from maskrcnn_jax.data.annotations import dropped_summary
from maskrcnn_jax.data.pipeline import count_object_slots, train_batches
from maskrcnn_jax.data.plan import TrainPlan
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.errors import exits_on_input_error
from maskrcnn_jax.experiment import ExperimentConfig, check_num_classes
from maskrcnn_jax.norms import FrozenBatchNormConfig
from maskrcnn_jax.training.checkpoint import Checkpoints, Run, check_same_run, has_checkpoint
from maskrcnn_jax.training.distributed import (
    DistributedConfig,
    is_first_process,
    say,
    start_processes,
)
from maskrcnn_jax.training.log import TrainingLog, check_finite
from maskrcnn_jax.training.sharding import check_divides, data_mesh, replicate, shard_batch
from maskrcnn_jax.training.state import count_parameters, create_state, initial_variables
from maskrcnn_jax.training.step import make_train_step


@dataclass(frozen=True, kw_only=True)
class Arguments:
    workdir: Path
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")]


def train(config: ExperimentConfig, workdir: Path) -> None:
    """The whole story of a run."""
    # ---- data ------------------------------------------------------------------------------------
    dataset = config.data.build(config.data.train_split)
    check_num_classes(dataset, config.model)
    mesh = data_mesh()
    check_divides(config.input.batch_size, mesh, "--input.batch-size")
    count_object_slots(dataset, config.input)  # refuses before anything is written
    plan = TrainPlan(dataset, config.input, seed=config.run.seed)
    num_steps = config.optimizer.schedule.num_steps(plan.steps_per_epoch)
    report_left_out(dataset, plan)

    # ---- model, optimizer, and the state to begin with -------------------------------------------
    model = config.model.build()
    peak_rate = config.optimizer.peak(config.input.batch_size)
    learning_rate = config.optimizer.schedule.build(peak_rate, plan.steps_per_epoch)
    optimizer = config.optimizer.build(learning_rate)
    variables = initial_variables(model, seed=config.run.seed)
    if not has_checkpoint(workdir):
        variables = first_weights(variables, config)
    ema_decay = config.optimizer.ema_decay
    state = create_state(
        variables, optimizer, config.model.frozen_modules(), with_average=ema_decay is not None
    )
    state = replicate(state, mesh)

    # ---- go on where the last run stopped --------------------------------------------------------
    run = Run(config=config, categories=tuple(dataset.categories), position=0)
    checkpoints = Checkpoints(workdir, keep=config.run.keep_checkpoints)
    if checkpoints.latest_step() is not None:
        before = checkpoints.restore_run()
        for change in check_same_run(before, run, workdir):
            say(f"changed: {change}")
        run = dataclasses.replace(run, position=before.position)
        state = checkpoints.restore_state(state)
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
    step_fn = make_train_step(model, optimizer, mesh, seed=config.run.seed, ema_decay=ema_decay)
    log = TrainingLog(
        workdir,
        start=start,
        num_steps=num_steps,
        every=config.run.log_every,
        images_per_step=config.input.batch_size,
        learning_rate=learning_rate,
        writes=is_first_process(),
    )
    batches = train_batches(
        dataset,
        config.input,
        seed=config.run.seed,
        start=run.position,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    for step in range(start, num_steps):
        state, metrics = step_fn(state, shard_batch(next(batches), mesh))
        log.add(step + 1, metrics)
        if (step + 1) % config.run.checkpoint_every == 0 or step + 1 == num_steps:
            check_finite(step + 1, metrics)
            checkpoints.save(state, dataclasses.replace(run, position=batches.position))
    batches.close()
    log.close()
    checkpoints.close()
    say(f"trained for {num_steps} steps; evaluate: python eval.py --workdir {workdir}")


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
    preset, *options = sys.argv[1:] or ["--help"]
    if preset.startswith("-"):
        print(f"{__doc__}\nPresets: {', '.join(configs.names())}")
        sys.exit(0 if preset in ("-h", "--help") else 2)
    config = configs.load(preset)
    arguments = cli.parse(
        Arguments,
        options,
        prog=f"train.py {preset}",
        description=configs.describe(preset),
        default=Arguments(workdir=tyro.MISSING, config=config),
    )
    cli.use_compilation_cache()
    start_processes(arguments.distributed)
    train(arguments.config, arguments.workdir)


if __name__ == "__main__":
    main()
