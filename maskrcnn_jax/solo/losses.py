"""The loss of the masks of positive cells, for one image.

Shapes: c cells of all grids, e channels and h w size of the mask features, g objects, s cells at a
time.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.losses import LossTerm, dice
from maskrcnn_jax.solo.targets import CellTargets

_AT_A_TIME = 64  # masks of stride 4: 17 MB for an image of 800x1344


def mask_loss(
    kernels: Float[Array, "c e"],
    features: Float[Array, "h w e"],
    objects: Bool[Array, "g h w"],
    targets: CellTargets,
    *,
    max_positives: int,
) -> LossTerm:
    """Dice loss of the masks of all positive cells, of which there are at most ``max_positives``.

    The cells are taken in groups, the positive ones first, and a group without any costs nothing:
    a place for every cell that could be positive would take gigabytes. Masks are computed again for
    the gradient.
    """
    num_groups = -(-min(max_positives, len(targets.positive)) // _AT_A_TIME)
    order = jnp.argsort(~targets.positive, stable=True)[: num_groups * _AT_A_TIME]
    order = jnp.pad(order, (0, num_groups * _AT_A_TIME - len(order)), constant_values=-1)

    def of_group(cells: Array) -> LossTerm:
        valid = targets.positive[cells] & (cells >= 0)
        logits = jnp.einsum("se,hwe->shw", kernels[cells], features)
        return dice(logits, objects[targets.matched[cells]].astype(logits.dtype), valid)

    def if_any(cells: Array) -> LossTerm:
        zero = jnp.zeros((), kernels.dtype)
        any_positive = (targets.positive[cells] & (cells >= 0)).any()
        return jax.lax.cond(any_positive, of_group, lambda _: LossTerm(zero, zero), cells)

    terms = jax.lax.map(jax.checkpoint(if_any), order.reshape(num_groups, _AT_A_TIME))
    return jax.tree.map(jnp.sum, terms)
