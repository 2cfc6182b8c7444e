"""The programs of a preset on devices that need not exist: steps, and the shapes they are given.

Nothing is allocated: neither weights nor images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.structures import abstract_batch
from maskrcnn_jax.training.sharding import DATA_AXIS, check_divides, state_shardings
from maskrcnn_jax.training.state import create_state, initial_variables
from maskrcnn_jax.training.step import make_predict_step, make_train_step

# Ground-truth slots where max_objects leaves them to the data set, which is not looked at here.
DEFAULT_SLOTS = 100


@dataclass(frozen=True, kw_only=True)
class Program:
    """A jitted step for one padded size, and the shapes and placement of its arguments."""

    name: str
    size: Size
    images_per_device: int
    step: Any
    arguments: tuple[Any, ...]


def programs(config: ExperimentConfig, mesh: Mesh) -> Iterator[Program]:
    """All that a run and its evaluation compile: a program for each padded size."""
    for size in config.input.training_padded_sizes():
        yield train_program(config, mesh, size)
    for size in config.input.padded_sizes:
        yield predict_program(config, mesh, size)


def train_program(config: ExperimentConfig, mesh: Mesh, size: Size) -> Program:
    """The step of train.py, with the global batch of the config."""
    check_divides(config.input.batch_size, mesh, micro_batches=config.run.micro_batches)
    model, optimizer = config.model.build(), config.optimizer.build(optax.constant_schedule(0.0))
    ema_decay = config.optimizer.ema_decay
    state = jax.eval_shape(
        lambda: create_state(
            initial_variables(model, seed=config.run.seed),
            optimizer,
            config.model.frozen_modules(),
            with_average=ema_decay is not None,
        )
    )
    batch = abstract_batch(
        config.input.batch_size,
        size,
        num_slots=config.input.max_objects or DEFAULT_SLOTS,
        mask_size=config.input.mask_size,
        has_semantic_map=config.input.semantic_labels is not None,
    )
    step = make_train_step(
        model,
        optimizer,
        mesh,
        seed=config.run.seed,
        ema_decay=ema_decay,
        micro_batches=config.run.micro_batches,
        shard_state=config.run.shard_state,
    )
    return Program(
        name="train",
        size=size,
        images_per_device=config.input.batch_size // mesh.size,
        step=step,
        arguments=(
            _placed(state, state_shardings(state, mesh, sharded=config.run.shard_state)),
            _placed(batch, NamedSharding(mesh, P(DATA_AXIS))),
        ),
    )


def predict_program(config: ExperimentConfig, mesh: Mesh, size: Size) -> Program:
    """The step of eval.py, which gives every device as many images."""
    model = config.model.build()
    variables = jax.eval_shape(lambda: initial_variables(model, seed=config.run.seed))
    images_per_device = -(-config.input.eval_batch_size // mesh.size)
    batch = abstract_batch(images_per_device * mesh.size, size, num_slots=0, mask_size=0)
    return Program(
        name="predict",
        size=size,
        images_per_device=images_per_device,
        step=make_predict_step(model, mesh),
        arguments=(
            _placed(variables, NamedSharding(mesh, P())),
            _placed(batch, NamedSharding(mesh, P(DATA_AXIS))),
        ),
    )


def _placed(tree: Any, shardings: Any) -> Any:
    """The shapes with a sharding each, or one for all."""
    if isinstance(shardings, NamedSharding):
        shardings = jax.tree.map(lambda _: shardings, tree)
    return jax.tree.map(lambda x, sharding: x.update(sharding=sharding), tree, shardings)
