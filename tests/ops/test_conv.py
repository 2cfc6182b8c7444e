import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import conv


class Case(NamedTuple):
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    channels: int = 16  # with fewer than 16 the convolution is left to XLA
    groups: int = 1


SAME = ((1, 1), (1, 1))
CASES = {
    "3x3": Case((5, 7), (3, 3), pads=SAME),
    "3x3 stride 2, odd": Case((7, 9), (3, 3), (2, 2), SAME),
    "3x3 stride 2, even": Case((8, 6), (3, 3), (2, 2), SAME),
    "3x3 unpadded, strides differ": Case((8, 12), (3, 3), (2, 3)),
    "1x3, one-sided padding": Case((4, 5), (1, 3), pads=((0, 0), (2, 1))),
    "5x3, more above than below": Case((7, 5), (5, 3), (2, 1), pads=((3, 1), (0, 2))),
    "3x3, more padding than pixels of it": Case((4, 5), (3, 3), pads=((4, 5), (3, 0))),
    "1x1": Case((5, 7), (1, 1)),
    "1x1 stride 2, odd": Case((7, 9), (1, 1), (2, 2)),
    "1x1 stride 2, even": Case((8, 6), (1, 1), (2, 2)),
    "1x1 padded": Case((4, 4), (1, 1), pads=SAME),
    "7x7 stem": Case((9, 11), (7, 7), (2, 2), ((3, 3), (3, 3)), channels=3),
    "grouped": Case((5, 7), (3, 3), (2, 2), SAME, channels=32, groups=2),
}


def options(case):
    return {
        "dimension_numbers": ("NHWC", "HWIO", "NHWC"),
        "feature_group_count": case.groups,
        "lhs_dilation": (1, 1),
        "rhs_dilation": (1, 1),
        "precision": None,
    }


def ours(x, kernel, case):
    return conv.conv_general_dilated(x, kernel, case.strides, case.pads, **options(case))


def of_jax(x, kernel, case):
    return jax.lax.conv_general_dilated(x, kernel, case.strides, case.pads, **options(case))


def inputs(case):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *case.size, case.channels))
    kernel = rng.normal(size=(*case.kernel, case.channels // case.groups, 8))
    return jnp.asarray(x), jnp.asarray(kernel)


def with_gradients(function, case):
    """Values, and the gradients of image and kernel."""

    def results(x, kernel):
        y, backward = jax.vjp(lambda x, k: function(x, k, case), x, kernel)
        return (y, *backward(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)))

    return jax.jit(results)(*inputs(case))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_values_and_gradients_equal_those_of_jax(case):
    for a, b in zip(with_gradients(ours, case), with_gradients(of_jax, case), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


@pytest.mark.usefixtures("x64")
def test_gradients_inside_of_a_loop_are_those_outside():
    case = CASES["3x3"]
    x, kernel = inputs(case)
    kernels = jnp.stack([kernel, -kernel, 2 * kernel])

    def total(x, kernels, *, in_loop):
        def add(total, kernel):
            return total + jnp.sin(ours(x, kernel, case)).sum(), None

        if in_loop:
            return jax.lax.scan(add, jnp.zeros((), x.dtype), kernels)[0]
        return sum(add(0, kernel)[0] for kernel in kernels)

    inside, outside = (
        jax.jit(jax.grad(functools.partial(total, in_loop=in_loop), argnums=(0, 1)))(x, kernels)
        for in_loop in (True, False)
    )
    for a, b in zip(inside, outside, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("block_bytes", [1, 2000, 5000, 20_000, 10**6])
def test_the_kernel_gradient_may_be_summed_in_blocks(monkeypatch, block_bytes):
    """Of a row, of two (the last one is filled up) or five, of an image, and of both images."""
    monkeypatch.setattr(conv, "_BLOCK_BYTES", block_bytes)
    for name in (
        "3x3",
        "3x3 stride 2, odd",
        "3x3 unpadded, strides differ",
        "3x3, more padding than pixels of it",
        "5x3, more above than below",
    ):
        *_, found = with_gradients(ours, CASES[name])
        *_, expected = with_gradients(of_jax, CASES[name])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_the_kernel_gradient_copies_no_image():
    x, kernel = jnp.ones((1, 1024, 128, 32)), jnp.ones((3, 3, 32, 32))

    def gradient(x, kernel, y):
        function = functools.partial(ours, x, case=CASES["3x3"])
        return jax.vjp(function, kernel)[1](y)

    program = jax.jit(gradient).lower(x, kernel, x).compile()
    assert program.memory_analysis().temp_size_in_bytes < x.nbytes


@pytest.mark.parametrize(
    ("height", "fitting", "rows"),
    [(100, 30, 25), (100, 50, 50), (25, 24, 13), (26, 13, 13), (17, 5, 5), (8, 9, 8)],
)
def test_blocks_are_alike_where_that_costs_less_than_half_of_their_rows(height, fitting, rows):
    row_bytes = conv._BLOCK_BYTES // fitting
    assert conv._block_shape(1, height, row_bytes) == (1, rows)


@pytest.mark.parametrize("name", ["3x3", "1x1"])
def test_in_bfloat16_each_result_is_that_of_float32_but_for_its_own_rounding(name):
    """Also the gradient of the kernel, which is a sum over all of 6000 pixels."""
    case = CASES[name]._replace(size=(50, 60))
    x, kernel = (array.astype(jnp.bfloat16) for array in inputs(case))
    gradient = jnp.ones((2, 50, 60, 8), jnp.bfloat16)

    def results(dtype):
        arrays = (x.astype(dtype), kernel.astype(dtype))
        y, backward = jax.vjp(lambda x, k: ours(x, k, case), *arrays)
        return (y, *backward(gradient.astype(dtype)))

    for low, full in zip(results(jnp.bfloat16), results(jnp.float32), strict=True):
        assert low.dtype == jnp.bfloat16
        np.testing.assert_allclose(
            low.astype(jnp.float32), full, rtol=2**-8, atol=1e-5 * np.abs(full).max()
        )


@pytest.mark.parametrize("name", ["3x3", "3x3 stride 2, odd", "1x1 stride 2, odd"])
def test_on_the_cpu_the_kernel_gradient_is_no_convolution(name):
    case = CASES[name]
    gradient = jax.jit(jax.grad(lambda kernel, x: ours(x, kernel, case).sum()))
    x, kernel = inputs(case)
    assert " convolution(" not in gradient.lower(kernel, x).compile().as_text()


@pytest.mark.parametrize(("size", "stride"), [((3, 3), 2), ((1, 1), 1)])
def test_it_serves_a_flax_layer(size, stride):
    pads = [(side // 2, side // 2) for side in size]
    layer = nn.Conv(8, size, strides=stride, padding=pads)
    x = jax.random.normal(jax.random.key(0), (2, 7, 9, 16))
    variables = layer.init(jax.random.key(1), x)
    with_ours = layer.clone(conv_general_dilated=conv.conv_general_dilated)
    np.testing.assert_allclose(with_ours.apply(variables, x), layer.apply(variables, x), atol=1e-5)


def test_jit_equals_the_eager_call():
    case = CASES["3x3"]
    x, kernel = inputs(case)
    jitted = jax.jit(ours, static_argnums=2)(x, kernel, case)
    np.testing.assert_allclose(jitted, ours(x, kernel, case), atol=1e-5)


@pytest.mark.parametrize("wrong", [{"rhs_dilation": (2, 2)}, {"precision": "highest"}])
def test_what_it_cannot_do_is_refused(wrong):
    case = CASES["3x3"]
    with pytest.raises(ValueError, match="use lax directly"):
        conv.conv_general_dilated(*inputs(case), case.strides, case.pads, **(options(case) | wrong))
