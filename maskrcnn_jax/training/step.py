"""One step of training and of prediction, as one compiled program over all devices."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from maskrcnn_jax.structures import Batch, Detections
from maskrcnn_jax.training.average import averaged_part, next_average
from maskrcnn_jax.training.sharding import DATA_AXIS
from maskrcnn_jax.training.state import TrainState, merge

Metrics = dict[str, Array]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    seed: int,
    ema_decay: float | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """A jitted ``(state, batch) -> (state, metrics)``; the old state's memory is reused.

    Losses are sums over the global batch divided by counts over the global batch, and random
    choices depend on an image's place in it, so the result does not depend on the number of
    devices. With ``ema_decay`` the state's average of the weights follows.
    """

    def local_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        keys = image_keys(seed, state.step, batch.valid.shape[0])

        def objective(params):
            variables = merge(params, state.constants)
            terms, updates = model.apply(
                variables, batch, keys, method="loss", mutable=["batch_stats"]
            )
            losses = {
                name: term.sum / jnp.maximum(jax.lax.psum(term.count, DATA_AXIS), 1)
                for name, term in terms.items()
            }
            return sum(losses.values()), (losses, updates)

        (_, (losses, updates)), gradients = jax.value_and_grad(objective, has_aux=True)(
            state.params
        )
        gradients, losses = jax.lax.psum((gradients, losses), DATA_AXIS)
        changes, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        metrics = {
            "loss": sum(losses.values()),
            **losses,
            "gradient_norm": optax.tree.norm(gradients),
        }
        params = optax.apply_updates(state.params, changes)
        constants = {**state.constants, **updates}
        average = state.average
        if ema_decay is not None:
            values = averaged_part(params, constants)
            average = next_average(average, values, decay=ema_decay, step=state.step)
        state = TrainState(
            step=state.step + 1,
            params=params,
            constants=constants,
            opt_state=opt_state,
            average=average,
        )
        return state, metrics

    step = jax.shard_map(
        local_step,
        mesh=mesh,
        in_specs=(P(), P(DATA_AXIS)),
        out_specs=P(),
        check_vma=False,  # gradients are summed by hand, above
    )
    return jax.jit(step, donate_argnums=0)


def make_predict_step(
    model: nn.Module, mesh: Mesh
) -> Callable[[dict[str, Any], Batch], Detections]:
    """A jitted ``(variables, batch) -> detections``, divided over the devices like the batch."""

    def local_predict(variables: dict[str, Any], batch: Batch) -> Any:
        return model.apply(variables, batch, method="predict")

    return jax.jit(
        jax.shard_map(
            local_predict,
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
