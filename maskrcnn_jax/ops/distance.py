"""Exact Euclidean distances to the outline of a mask.

Shapes: h w size of the mask, n places along an axis.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


def signed_distance(mask: Bool[Array, "h w"]) -> Float[Array, "h w"]:
    """How far each pixel's centre is from the outline of the mask, in pixels; negative outside.

    The outline is where the unit squares of the mask's pixels meet those of others, so a pixel
    beside it is 0.5 away. What lies beyond the grid is unknown: the edge of the grid is no outline.
    An empty mask is -inf everywhere, a full one inf, for neither has an outline.

    That is the distance to the nearest square of the other kind. Its square is a sum over the axes,
    so its minimum is found along one axis and then along the other (Felzenszwalb and Huttenlocher,
    2012), by comparing all pairs of places: exact, and few enough for a grid of 112.
    """
    costs = jnp.where(jnp.stack([~mask, mask]), 0.0, jnp.inf)  # to the outside, to the inside
    along_rows = _cheapest(costs)
    squares = _cheapest(along_rows.swapaxes(1, 2)).swapaxes(1, 2)
    to_outside, to_inside = jnp.sqrt(squares)
    return jnp.where(mask, to_outside, -to_inside)


def _cheapest(costs: Float[Array, "*m n"]) -> Float[Array, "*m n"]:
    """The least cost of each place: min over j of costs[j] + its squared gap to square j.

    One j after the other: all pairs at once would be n times the memory (1.5 GB for 128 masks of
    112 x 112).
    """
    n = costs.shape[-1]
    steps = np.abs(np.arange(n)[:, None] - np.arange(n))
    gaps = jnp.asarray(np.maximum(steps - 0.5, 0) ** 2, costs.dtype)  # from a centre to a square

    def compare(j, best):
        return jnp.minimum(best, jax.lax.dynamic_index_in_dim(costs, j, axis=-1) + gaps[j])

    return jax.lax.fori_loop(0, n, compare, jnp.full_like(costs, jnp.inf))
