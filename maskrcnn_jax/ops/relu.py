"""ReLU, written so that XLA on the CPU computes it once where gradients are wanted."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def relu(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """``jax.nn.relu``, of which gradients need the output alone.

    XLA on the CPU holds a maximum for so cheap that it computes it anew wherever it is needed: in
    the next convolution, in the shortcut, in each of their gradients. It does so from what
    convolutions and residual sums have left, all of which is kept until the last gradient. A choice
    between two values is computed once, and takes the maximum's place where there are gradients.
    """
    return jnp.maximum(x, 0)


@relu.defjvp
def _relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    zeros = jnp.zeros_like(x)
    y = jax.lax.select(x <= 0, zeros, x)
    return y, jax.lax.select(y > 0, tangent, zeros)
