"""Products that are rounded before anything is added to them.

Compilers turn ``a * b + c`` into one operation with one rounding where the machine has it, or do
not, as they please. Where a result has to be the same to the last bit wherever it is computed, the
product goes through ``rounded``.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def rounded(product: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The same numbers: a clamp to what is finite, which no compiler sees through."""
    limits = jnp.finfo(product.dtype)
    return jnp.clip(product, limits.min, limits.max)
