"""What training carries from step to step."""

from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Bool, Int

from maskrcnn_jax.structures import abstract_batch
from maskrcnn_jax.training.average import averaged_part

Tree = Any  # nested dict of arrays


@flax.struct.dataclass
class TrainState:
    """``params`` are the trained parameters only; ``constants`` holds every other variable.

    Gradients and optimizer state thus exist for trained parameters alone. ``constants`` has the
    parameters that stay as they are under ``params`` and the model's other collections beside it.
    ``average`` is a moving average of ``averaged_part``; None where none is wanted. ``finite`` is
    False once numbers of a step were not; all else is then as it was before that step.
    """

    step: Int[Array, ""]
    params: Tree
    constants: dict[str, Tree]
    opt_state: optax.OptState
    finite: Bool[Array, ""]
    average: dict[str, Tree] | None = None

    def variables(self) -> dict[str, Tree]:
        """All variables of the model, as ``model.apply`` takes them."""
        return merge(self.params, self.constants)


def create_state(
    variables: dict[str, Tree],
    optimizer: optax.GradientTransformation,
    frozen_modules: Iterable[tuple[str, ...]],
    *,
    with_average: bool = False,
) -> TrainState:
    """The state before the first step; ``frozen_modules`` are paths of what is not trained."""
    params, constants = split(variables, frozen_modules)
    # A copy: a training step is given the memory of its state, each array once.
    average = jax.tree.map(jnp.array, averaged_part(params, constants)) if with_average else None
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        constants=constants,
        opt_state=optimizer.init(params),
        finite=jnp.ones((), bool),
        average=average,
    )


def split(
    variables: dict[str, Tree], frozen_modules: Iterable[tuple[str, ...]]
) -> tuple[Tree, dict[str, Tree]]:
    """Divides variables into trained parameters and everything else."""
    frozen_modules = tuple(frozen_modules)
    flat = flatten_dict(variables["params"])
    is_frozen = {path: any(path[: len(m)] == m for m in frozen_modules) for path in flat}
    trained = {path: x for path, x in flat.items() if not is_frozen[path]}
    frozen = {path: x for path, x in flat.items() if is_frozen[path]}
    others = {name: tree for name, tree in variables.items() if name != "params"}
    return unflatten_dict(trained), {"params": unflatten_dict(frozen), **others}


def merge(params: Tree, constants: dict[str, Tree]) -> dict[str, Tree]:
    """Undoes ``split``."""
    joined = flatten_dict(params) | flatten_dict(constants["params"])
    return {**constants, "params": unflatten_dict(joined)}


def count_parameters(tree: Tree) -> int:
    """Number of scalars in a tree of arrays."""
    return sum(x.size for x in jax.tree.leaves(tree))


def initial_variables(model: nn.Module, *, seed: int) -> dict[str, Tree]:
    """Random variables of a detector; its forward pass is traced, but never run."""
    # 64x64: every level of the pyramid has at least one cell.
    shapes = abstract_batch(1, (64, 64), num_slots=0, mask_size=1)

    def init() -> dict[str, Tree]:
        batch = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return dict(model.init(jax.random.key(seed), batch, method="predict"))

    return jax.jit(init)()
