"""Layers that compute in the precision of their input, with float32 parameters.

In bfloat16 a kernel is cast to it for the product, and the bias is added in float32: the gradient
of a bias is a sum over all pixels, and a running sum in bfloat16 stops growing at 256 times what is
added. In float32 and float64 these are the layers of Flax.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from maskrcnn_jax.ops.conv import conv_general_dilated


class Conv(nn.Module):
    """A convolution of odd ``size`` with as many zeros around the image as keep its size."""

    channels: int
    size: int
    kernel_init: Initializer
    stride: int = 1
    groups: int = 1
    use_bias: bool = True
    bias_init: Initializer = nn.initializers.zeros

    def setup(self):
        pad = self.size // 2
        self.layer = nn.Conv(
            self.channels,
            (self.size, self.size),
            strides=self.stride,
            padding=((pad, pad), (pad, pad)),
            feature_group_count=self.groups,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            promote_dtype=_cast_kernel,
            conv_general_dilated=conv_general_dilated,
        )
        nn.share_scope(self, self.layer)  # its parameters are this module's own

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _ _ d"]:
        return self.layer(x).astype(x.dtype)


class Dense(nn.Module):
    channels: int
    kernel_init: Initializer

    def setup(self):
        self.layer = nn.Dense(
            self.channels, kernel_init=self.kernel_init, promote_dtype=_cast_kernel
        )
        nn.share_scope(self, self.layer)

    def __call__(self, x: Float[Array, "*n c"]) -> Float[Array, "*n d"]:
        return self.layer(x).astype(x.dtype)


def full_precision(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The same numbers in float32, or in float64 if they are."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _cast_kernel(*arrays: Any, dtype: Any = None, inexact: bool = True) -> list[Any]:
    """What Flax calls to bring input, kernel and bias to one type; here the bias stays."""
    del dtype, inexact
    x, kernel, bias = arrays
    return [x, kernel.astype(x.dtype), bias]
