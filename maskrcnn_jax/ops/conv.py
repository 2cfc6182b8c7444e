"""Convolution as Flax layers call it, with gradients that are also fast on a CPU.

XLA computes the gradient of a kernel on the CPU as a convolution with a window as large as the
image, which takes several times longer than the rest of a training step. The same gradient is one
matrix product for each tap of the kernel: the input shifted by that tap against the output's
gradient, summed over blocks of the image. GPU and TPU keep XLA's own form.

A 1x1 convolution is a matrix product everywhere. Of its kernel's gradient XLA on the CPU makes one
large product, for which it first transposes all that the gradient is computed from; summed over
blocks like the others it does not.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_Pads = tuple[tuple[int, int], tuple[int, int]]

_BLOCK_BYTES = 2**19  # half of what a processor core has as a cache of its own


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
    if feature_group_count > 1 or kernel.shape[2] < 16:
        return _plain_conv(x, kernel, strides, pads, feature_group_count)
    return _conv(x, kernel, strides, pads)


def pixelwise(x: Float[Array, "b h w i"], kernel: Float[Array, "i o"]) -> Float[Array, "b h w o"]:
    """``x @ kernel``, as a convolution with a kernel of 1x1."""
    return _conv(x, kernel[None, None], (1, 1), ((0, 0), (0, 0)))


def _plain_conv(x, kernel, strides, pads: _Pads, groups: int = 1) -> Array:
    if kernel.shape[:2] == (1, 1) and not any(map(any, pads)) and groups == 1:
        return x[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    return jax.lax.conv_general_dilated(
        x, kernel, strides, pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
    )  # fmt: skip


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x: Array, kernel: Array, strides: tuple[int, int], pads: _Pads) -> Array:
    return _plain_conv(x, kernel, strides, pads)


def _conv_forward(x, kernel, strides, pads):
    return _plain_conv(x, kernel, strides, pads), (x, kernel)


@functools.partial(jax.jit, static_argnums=(0, 1))  # so that convolutions alike are traced once
def _conv_backward(strides, pads, saved, gradient):
    def of_xla(x, kernel, gradient):
        conv = functools.partial(_plain_conv, strides=strides, pads=pads)
        (dx,) = jax.linear_transpose(lambda x: conv(x, kernel), x)(gradient)
        (dkernel,) = jax.linear_transpose(lambda kernel: conv(x, kernel), kernel)(gradient)
        return dx, dkernel

    def on_cpu(x, kernel, gradient):
        dx = _input_gradient(x, kernel, gradient, strides, pads)
        return dx, _kernel_gradient_by_taps(x, gradient, kernel.shape, strides, pads)

    return jax.lax.platform_dependent(*saved, gradient, cpu=on_cpu, default=of_xla)


_conv.defvjp(_conv_forward, _conv_backward)


def _input_gradient(x, kernel, gradient, strides, pads: _Pads) -> Array:
    """XLA's own; where there is no stride, written as a convolution with the mirrored kernel.

    XLA on the CPU writes its own so too, but not inside of loops, where it is slow otherwise.
    """
    if strides != (1, 1) or kernel.shape[:2] == (1, 1):
        conv = functools.partial(_plain_conv, kernel=kernel, strides=strides, pads=pads)
        return jax.linear_transpose(conv, x)(gradient)[0]
    height, width = kernel.shape[0] - 1, kernel.shape[1] - 1
    (top, bottom), (left, right) = pads
    beyond = (height - top, height - bottom), (width - left, width - right)
    mirrored = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _plain_conv(gradient, mirrored, strides, beyond)


def _kernel_gradient_by_taps(x, gradient, kernel_shape, strides, pads: _Pads) -> Array:
    """At tap (i, j): the sum over output pixels of outer(input pixel under the tap, gradient).

    Block by block of the output, so that the shifted inputs of a block stay in the cache. Zeros are
    put around a block, not around the image: that would be a copy of it, made long before it is
    needed.
    """
    kh, kw, cin, cout = kernel_shape
    (batch, height, width, _), (sy, sx) = gradient.shape, strides
    images, rows = _block_shape(batch, height, width * cin * x.dtype.itemsize)
    num_parts = -(-height // rows)  # of an image
    at_least_float32 = jnp.promote_types(x.dtype, jnp.float32)

    def add_block(sums: list[Array], block: Array) -> tuple[list[Array], None]:
        image, part = images * (block // num_parts), block % num_parts
        under = _rows_of_part(
            jax.lax.dynamic_slice_in_dim(x, image, images), part,
            size=sy * (rows - 1) + kh, step=sy * rows, above=pads[0][0], num_parts=num_parts,
        )  # fmt: skip
        under = jnp.pad(under, ((0, 0), (0, 0), pads[1], (0, 0)))
        flat = _rows_of_part(
            jax.lax.dynamic_slice_in_dim(gradient, image, images), part,
            size=rows, step=rows, above=0, num_parts=num_parts,
        ).reshape(-1, cout)  # fmt: skip

        def tap(i: int, j: int) -> Array:
            shifted = under[
                :, i : i + sy * (rows - 1) + 1 : sy, j : j + sx * (width - 1) + 1 : sx
            ].reshape(-1, cin)
            return jnp.matmul(shifted.T, flat, preferred_element_type=at_least_float32)

        return [total + tap(*divmod(n, kw)) for n, total in enumerate(sums)], None

    zeros = [jnp.zeros((cin, cout), at_least_float32)] * (kh * kw)
    sums, _ = jax.lax.scan(add_block, zeros, jnp.arange(batch // images * num_parts))
    return jnp.stack(sums).reshape(kernel_shape).astype(x.dtype)


def _rows_of_part(
    x: Array, part: Array, *, size: int, step: int, above: int, num_parts: int
) -> Array:
    """``size`` rows from ``step * part - above`` on; those beyond the images are zeros."""
    height, start = x.shape[1], step * part - above
    below = max(0, step * (num_parts - 1) - above + size - height)
    held = min(size, height)
    first = jnp.clip(start, 0, height - held)
    x = jax.lax.dynamic_slice_in_dim(x, first, held, axis=1)
    if not above and not below:
        return x
    x = jnp.pad(x, ((0, 0), (above, below), (0, 0), (0, 0)))
    return jax.lax.dynamic_slice_in_dim(x, start - first + above, size, axis=1)


def _block_shape(batch: int, height: int, row_bytes: int) -> tuple[int, int]:
    """Images and rows of a block, whose input takes about ``_BLOCK_BYTES``: several whole images,
    as many in each block, or a part of one. A part is smaller, down to a half, if then all parts
    are alike: nothing has to be filled up.
    """
    fitting = max(1, _BLOCK_BYTES // max(row_bytes, 1))
    if fitting < height:
        alike = (rows for rows in range(fitting, fitting // 2, -1) if height % rows == 0)
        num_blocks = -(-height // fitting)
        return 1, next(alike, -(-height // num_blocks))
    images = max(1, min(batch, fitting // max(height, 1)))
    return next(n for n in range(images, 0, -1) if batch % n == 0), height
