"""A step taken apart: how large its numbers are, part by part, and which are not finite.

Shapes: b images.
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.structures import Batch
from maskrcnn_jax.training.sharding import DATA_AXIS
from maskrcnn_jax.training.state import Tree, merge
from maskrcnn_jax.training.step import image_keys

Kind = Literal["weight", "output", "loss", "gradient", "norm"]
# In the order in which they are computed: the key has a number, for dicts are sorted by JAX.
_Numbers = dict[tuple[int, Kind, str], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A weight, the output of a module, a term of the loss, a gradient, or the norm of all these.

    ``largest`` is an absolute value, NaN where there is one. ``not_finite`` has the rows (images)
    of the batch with numbers that are not; those of no image belong to all.
    """

    kind: Kind
    name: str
    largest: float
    not_finite: tuple[int, ...]


def examine(
    model: nn.Module,
    params: Tree,
    constants: dict[str, Tree],
    batch: Batch,
    *,
    seed: int,
    step: int,
) -> list[Part]:
    """All parts of a step on one device, in the order in which they are computed.

    A loss is attributed to the images that make it not finite each on its own.
    """
    mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[:1]), (DATA_AXIS,))

    def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
        sharded = jax.shard_map(function, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
        return jax.jit(sharded)

    num_images = batch.valid.shape[0]
    keys = on_device(lambda: image_keys(seed, jnp.asarray(step), num_images))()
    numbers = on_device(lambda *args: _numbers(model, *args))
    parts = _parts(numbers(params, constants, batch, keys))
    if all(not part.not_finite for part in parts):
        return parts
    wrong: dict[str, list[int]] = {}
    for row in range(num_images):
        # As often as there are images, so that nothing has to be compiled for it.
        image, key = jax.tree.map(
            lambda x, row=row: jnp.stack([x[row]] * num_images), (batch, keys)
        )
        for part in _parts(numbers(params, constants, image, key)):
            if part.kind == "loss" and part.not_finite:
                wrong.setdefault(part.name, []).append(row)
    return [
        dataclasses.replace(part, not_finite=tuple(wrong.get(part.name, part.not_finite)))
        if part.kind == "loss" and part.not_finite
        else part
        for part in parts
    ]


def _numbers(
    model: nn.Module, params: Tree, constants: dict[str, Tree], batch: Batch, keys: Array
) -> _Numbers:
    order: dict[tuple[str, ...], None] = {}  # paths of modules, as they finish

    def is_kept(module: nn.Module, method: str) -> bool:
        if method == "__call__":
            order.setdefault(module.path)
        return method == "__call__"

    def objective(params: Tree):
        terms, updates = model.apply(
            merge(params, constants),
            batch,
            keys,
            method="loss",
            mutable=["batch_stats", "intermediates"],
            capture_intermediates=is_kept,
        )
        losses = {name: term.mean for name, term in terms.items()}
        return sum(losses.values()), (losses, updates["intermediates"])

    gradients, (losses, outputs) = jax.grad(objective, has_aux=True)(params)
    outputs = flatten_dict(outputs)
    named: list[tuple[Kind, str, Any]] = [
        *_named("weight", flatten_dict(merge(params, constants)).items()),
        *_named("output", ((path, outputs[*path, "__call__"]) for path in order)),
        *_named("loss", (((name,), value) for name, value in losses.items())),
        *_named("gradient", flatten_dict(gradients).items()),
        ("norm", "gradient_norm", optax.tree.norm(gradients)),
    ]
    num_images = batch.valid.shape[0]
    return {
        (place, kind, name): _summary(values, num_images if kind == "output" else 1)
        for place, (kind, name, values) in enumerate(named)
    }


def _named(kind: Kind, items: Iterable[tuple[tuple[str, ...], Any]]) -> list[tuple[Kind, str, Any]]:
    return [(kind, "/".join(path), values) for path, values in items]


def _summary(values: Any, num_rows: int) -> tuple[Float[Array, ""], Bool[Array, " b"]]:
    """Largest absolute value, and the rows that are not finite, of all arrays together."""
    arrays = [x for x in jax.tree.leaves(values) if jnp.issubdtype(x.dtype, jnp.floating)]
    rows = [x.astype(jnp.float32).reshape(num_rows, -1) for x in arrays if x.size]
    if not rows:
        return jnp.zeros(()), jnp.zeros(num_rows, bool)
    # Told apart, for not every machine's maximum of a NaN is one.
    largest = jnp.stack([jnp.where(jnp.isnan(x).any(), jnp.nan, jnp.abs(x).max()) for x in rows])
    largest = jnp.where(jnp.isnan(largest).any(), jnp.nan, largest.max())
    return largest, ~jnp.stack([jnp.isfinite(x).all(axis=1) for x in rows]).all(axis=0)


def _parts(numbers: _Numbers) -> list[Part]:
    return [
        Part(
            kind=kind,
            name=name,
            largest=float(largest),
            not_finite=tuple(np.flatnonzero(rows).tolist()),
        )
        for (_, kind, name), (largest, rows) in sorted(jax.device_get(numbers).items())
    ]
