"""Only as many RoIs as there are: what a mask head computes is left out where no RoI is valid.

Arrays have places for as many RoIs as there can be, and the valid ones come first. So they are
divided into portions of places, and the layers of a head leave out those without any valid RoI.
Pooling comes before, for all places.

Shapes: b images, s places of an image, n RoIs of all images.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from maskrcnn_jax.norms import BatchNormConfig, NormConfig

# Places of an image in a portion: enough for a GPU, and few beside the 128 of training.
_PLACES = 32

Found = TypeVar("Found")


def in_portions(
    look: Callable[..., Found],
    head: nn.Module,
    valid: Bool[Array, "b s"],
    *arrays: Shaped[Array, "b s ..."],
    norm: NormConfig | None,
) -> Found:
    """``look(head, valid, *arrays)`` with all RoIs on one leading axis, n = b * s.

    The result's arrays have that axis too, and are zero where nothing was computed. ``look`` finds
    the same for a RoI whatever the others are; but with BatchNorm as its ``norm`` it does not, and
    sees all at once. So it does where what its layers find is captured, for others to see.
    """
    b, s = valid.shape
    count = -(-s // _PLACES)
    at_once = head.is_initializing() or head.is_mutable_collection("intermediates")
    if count <= 1 or at_once or isinstance(norm, BatchNormConfig):
        return look(head, *(_flat(x) for x in (valid, *arrays)))
    size = -(-s // count)

    def divided(x: Array) -> Array:
        x = jnp.pad(x, [(0, 0), (0, count * size - s), *[(0, 0)] * (x.ndim - 2)])
        return jnp.moveaxis(x.reshape(b, count, size, *x.shape[2:]), 1, 0)

    def joined(x: Array) -> Array:
        x = jnp.moveaxis(x.reshape(count, b, size, *x.shape[2:]), 0, 1)
        return _flat(x.reshape(b, count * size, *x.shape[3:])[:, :s])

    # Kept for gradients are products alone. A loop would keep all else too, which is cheap, and
    # which XLA computes again of itself outside of loops.
    keep = jax.checkpoint_policies.dots_saveable
    look_again = nn.remat(look, policy=keep, prevent_cse=False)

    def look_if_any(head: nn.Module, carry: None, portion: tuple[Array, ...]) -> tuple[None, Found]:
        found = jax.eval_shape(lambda: look(head, *portion))
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), found)
        return carry, nn.cond(portion[0].any(), look_again, lambda *_: nothing, head, *portion)

    portions = [jax.vmap(_flat)(divided(x)) for x in (valid, *arrays)]
    scan: Any = nn.scan(look_if_any, variable_broadcast=True, split_rngs={})
    return jax.tree.map(joined, scan(head, None, tuple(portions))[1])


def _flat(x: Shaped[Array, "b s ..."]) -> Shaped[Array, "b*s ..."]:
    return x.reshape(-1, *x.shape[2:])
