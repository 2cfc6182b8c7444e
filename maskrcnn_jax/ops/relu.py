"""ReLU, written so that XLA on the CPU computes it once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def relu(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """``jax.nn.relu``, whose gradient needs the output alone.

    A maximum is so cheap for XLA on the CPU that it computes it anew, from what convolutions and
    residual sums before it have left, in whatever needs it: the next convolution, the shortcut, the
    gradients. All of that is read again and kept until then. A choice between two values it
    computes once. (What that costs: XLA on GPUs can join a maximum to a convolution with a bias.)
    """
    return jax.lax.select(x <= 0, jnp.zeros_like(x), x)


@relu.defjvp
def _relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    y = relu(x)
    return y, jax.lax.select(y > 0, tangent, jnp.zeros_like(tangent))
