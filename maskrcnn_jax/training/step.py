"""One step of training and of prediction, as one compiled program over all devices."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from maskrcnn_jax.garbage import collector_paused
from maskrcnn_jax.losses import LossTerm
from maskrcnn_jax.structures import Batch, Detections
from maskrcnn_jax.training.average import averaged_part, next_average
from maskrcnn_jax.training.sharding import DATA_AXIS, state_shardings
from maskrcnn_jax.training.state import TrainState, Tree, merge

Metrics = dict[str, Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    seed: int,
    ema_decay: float | None = None,
    micro_batches: int = 1,
    shard_state: bool = False,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """A jitted ``(state, batch) -> (state, metrics)``; the old state's memory is reused.

    Losses are sums over the global batch divided by counts over the global batch, and random
    choices depend on an image's place in it, so the result depends neither on the number of devices
    nor on ``micro_batches``, the parts in which each device works through its images (but for a
    trained BatchNorm, which sees a part). With ``ema_decay`` the state's average of the weights
    follows. ``shard_state`` keeps the state divided over the devices (``place_state``).

    A step with a metric or a new state that is not finite changes nothing in the state but
    ``finite``, and neither do the steps after it, whose metrics are NaN.
    """
    global_gradients = _make_global_gradients(model, mesh, seed=seed, micro_batches=micro_batches)

    @collector_paused()  # which is while it is traced
    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        gradients, losses, statistics = global_gradients(
            state.params, state.constants, state.step, batch
        )
        loss, norm = sum(losses.values()), optax.tree.norm(gradients)
        metrics = {"loss": loss, **losses, "gradient_norm": norm}
        metrics = {name: jnp.where(state.finite, x, jnp.nan) for name, x in metrics.items()}
        changed = _updated(state, gradients, statistics, optimizer=optimizer, ema_decay=ema_decay)
        finite = _is_finite((metrics, changed.params, changed.opt_state, statistics))
        unchanged = dataclasses.replace(state, finite=jnp.zeros((), bool))
        state = jax.tree.map(partial(jnp.where, finite), changed, unchanged)
        shardings = state_shardings(state, mesh, sharded=shard_state)
        return jax.lax.with_sharding_constraint(state, shardings), metrics

    return jax.jit(step, donate_argnums=0)


def _make_global_gradients(model: nn.Module, mesh: Mesh, *, seed: int, micro_batches: int):
    """``(params, constants, step, batch) -> (gradients, losses, statistics)`` of the whole batch.

    What it takes but for the batch, and what it gives, is on every device.
    """

    def on_device(params: Tree, constants: dict[str, Tree], step: Array, batch: Batch):
        keys = image_keys(seed, step, batch.valid.shape[0])

        def objective(params):
            terms, statistics = _loss_terms(
                model, params, constants, batch, keys, num_parts=micro_batches
            )
            losses = {
                name: term.sum / jnp.maximum(jax.lax.psum(term.count, DATA_AXIS), 1)
                for name, term in terms.items()
            }
            return sum(losses.values()), (losses, statistics)

        gradients, (losses, statistics) = jax.grad(objective, has_aux=True)(params)
        gradients, losses = jax.lax.psum((gradients, losses), DATA_AXIS)
        return gradients, losses, statistics

    return jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(P(), P(), P(), P(DATA_AXIS)),
        out_specs=P(),
        check_vma=False,  # gradients are summed by hand, above
    )


def _loss_terms(
    model: nn.Module,
    params: Tree,
    constants: dict[str, Tree],
    batch: Batch,
    keys: Array,
    *,
    num_parts: int,
) -> tuple[dict[str, LossTerm], dict[str, Tree]]:
    """The terms of the loss over this device's images, and BatchNorm statistics after them.

    In more than one part, the images of a part go through the model together: a trained BatchNorm
    normalises them by their own statistics, and each part moves the running ones. The backward pass
    repeats each part's forward pass, so that one part at a time is in memory.
    """

    def of_images(statistics: dict[str, Tree], images: tuple[Batch, Array]):
        variables = merge(params, constants | statistics)
        terms, updates = model.apply(variables, *images, method="loss", mutable=["batch_stats"])
        return dict(updates), terms

    statistics = {name: constants[name] for name in ("batch_stats",) if name in constants}
    if num_parts == 1:
        statistics, terms = of_images(statistics, (batch, keys))
        return terms, statistics
    parts = jax.tree.map(
        lambda x: x.reshape(num_parts, x.shape[0] // num_parts, *x.shape[1:]), (batch, keys)
    )
    of_part = jax.checkpoint(of_images, prevent_cse=False)  # a scan needs no such protection
    statistics, terms = jax.lax.scan(of_part, statistics, parts)
    return jax.tree.map(lambda x: x.sum(0), terms), statistics


def _updated(
    state: TrainState,
    gradients: Tree,
    statistics: dict[str, Tree],
    *,
    optimizer: optax.GradientTransformation,
    ema_decay: float | None,
) -> TrainState:
    """The state after a step."""
    changes, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, changes)
    constants = {**state.constants, **statistics}
    average = state.average
    if ema_decay is not None:
        values = averaged_part(params, constants)
        average = next_average(average, values, decay=ema_decay, step=state.step)
    return dataclasses.replace(
        state,
        step=state.step + 1,
        params=params,
        constants=constants,
        opt_state=opt_state,
        average=average,
    )


def _is_finite(tree: Any) -> Array:
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()


def make_predict_step(
    model: nn.Module, mesh: Mesh
) -> Callable[[dict[str, Any], Batch], Detections]:
    """A jitted ``(variables, batch) -> detections``, divided over the devices like the batch."""

    def local_predict(variables: dict[str, Any], batch: Batch) -> Any:
        return model.apply(variables, batch, method="predict")

    return over_devices(local_predict, mesh)


def over_devices(
    function: Callable[[dict[str, Any], Batch], Any], mesh: Mesh
) -> Callable[[dict[str, Any], Batch], Any]:
    """Jitted: each device has all variables, its images, and its part of what comes out."""
    return jax.jit(
        jax.shard_map(
            collector_paused()(function),  # while it is traced
            mesh=mesh,
            in_specs=(P(), P(DATA_AXIS)),
            out_specs=P(DATA_AXIS),
            check_vma=False,
        )
    )


def image_keys(seed: int, step: Array, num_images: int) -> Array:
    """One key for each of this device's images, from its place in the global batch."""
    key = jax.random.fold_in(jax.random.key(seed), step)
    place = jax.lax.axis_index(DATA_AXIS) * num_images + jnp.arange(num_images)
    return jax.vmap(lambda p: jax.random.fold_in(key, p))(place)
