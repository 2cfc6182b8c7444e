"""Convolution as Flax layers call it, with a kernel gradient that is also fast on a CPU.

XLA computes the gradient of a kernel on the CPU as a convolution with a window as large as the
image, which takes several times longer than the rest of a training step. The same gradient is one
matrix product for each tap of the kernel: the input shifted by that tap against the output's
gradient. GPU and TPU keep XLA's own form. A 1x1 convolution is a matrix product everywhere.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_Pads = tuple[tuple[int, int], tuple[int, int]]


def conv_general_dilated(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw i o"],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    feature_group_count: int,
    dimension_numbers: Any,
    precision: Any,
) -> Float[Array, "b y x o"]:
    """``jax.lax.conv_general_dilated`` for NHWC and HWIO, to be given to ``flax.linen.Conv``.

    Padding is explicit. Dilations, another layout or precision are not supported.
    """
    del dimension_numbers  # always NHWC and HWIO in Flax
    if {*lhs_dilation, *rhs_dilation} != {1} or precision is not None:
        raise ValueError(f"dilation {rhs_dilation} or precision {precision}: use lax directly")
    strides = tuple(window_strides)
    (top, bottom), (left, right) = padding
    pads = ((top, bottom), (left, right))
    if kernel.shape[:2] == (1, 1) and not any(map(any, pads)) and feature_group_count == 1:
        return x[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    if feature_group_count > 1 or kernel.shape[2] < 16:
        return _xla_conv(x, kernel, strides, pads, feature_group_count)
    return _conv(x, kernel, strides, pads)


def _xla_conv(x, kernel, strides, pads: _Pads, groups: int = 1) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, strides, pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
    )  # fmt: skip


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x: Array, kernel: Array, strides: tuple[int, int], pads: _Pads) -> Array:
    return _xla_conv(x, kernel, strides, pads)


def _conv_forward(x, kernel, strides, pads):
    return _xla_conv(x, kernel, strides, pads), (x, kernel)


def _conv_backward(strides, pads, saved, gradient):
    x, kernel = saved
    (dx,) = jax.linear_transpose(lambda x: _xla_conv(x, kernel, strides, pads), x)(gradient)
    dkernel = jax.lax.platform_dependent(
        x, gradient,
        cpu=lambda x, g: _kernel_gradient_by_taps(x, g, kernel.shape, strides, pads),
        default=lambda x, g: jax.linear_transpose(
            lambda k: _xla_conv(x, k, strides, pads), kernel)(g)[0],
    )  # fmt: skip
    return dx, dkernel


_conv.defvjp(_conv_forward, _conv_backward)


def _kernel_gradient_by_taps(x, gradient, kernel_shape, strides, pads: _Pads) -> Array:
    """At tap (i, j): the sum over output pixels of outer(input pixel under the tap, gradient)."""
    kh, kw, cin, cout = kernel_shape
    (_, height, width, _), (sy, sx) = gradient.shape, strides
    at_least_float32 = jnp.promote_types(x.dtype, jnp.float32)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    flat = gradient.reshape(-1, cout)

    def tap(i: int, j: int) -> Array:
        shifted = x[:, i : i + sy * (height - 1) + 1 : sy, j : j + sx * (width - 1) + 1 : sx]
        shifted = shifted.reshape(-1, cin)
        return jnp.matmul(shifted.T, flat, preferred_element_type=at_least_float32).astype(x.dtype)

    return jnp.stack([jnp.stack([tap(i, j) for j in range(kw)]) for i in range(kh)])
