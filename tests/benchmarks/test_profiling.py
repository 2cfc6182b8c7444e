import jax
import jax.numpy as jnp
import pytest

from benchmarks.profiling.arithmetic import work_of_parts
from benchmarks.profiling.parts import OTHER, part_of
from benchmarks.profiling.trace import operation_names, operation_seconds, own_seconds


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("jit(f)/jvp(MaskRCNN.loss)/MaskRCNN._features/backbone/res3/block0/add", "backbone/res3"),
        (
            "jit(f)/MaskRCNN.predict/roi.predict/mask_head.predict/conv1/dot_general",
            "roi/mask_head",
        ),
        ("jit(f)/transpose(jvp(MaskRCNN.loss))/rpn.loss/head/conv/mul", "rpn/head, backward"),
        ("jit(f)/jvp(MaskRCNN.loss)/neck/neck._conv/lateral3/layer/dot", "neck/lateral3"),
        ("jit(f)/jvp(MaskRCNN.loss)/rpn.loss/vmap()/while/body/top_k", "rpn"),
        ("jit(f)/MaskRCNN.predict/add", OTHER),
        ("jit(f)/add", OTHER),
        ("", OTHER),
    ],
)
def test_part_of(name, part):
    assert part_of(name) == part


def only(work):
    [found] = work.values()
    return found


def test_a_matrix_product_is_two_operations_for_each_multiplication():
    work = only(work_of_parts(jnp.matmul, jnp.ones((3, 5)), jnp.ones((5, 7))))
    assert work == (2 * 3 * 5 * 7, 4 * (3 * 5 + 5 * 7 + 3 * 7))


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2)])
def test_a_convolution_is_a_product_for_each_pixel(stride, groups):
    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
        )  # fmt: skip

    x, kernel = jnp.ones((1, 8, 10, 4)), jnp.ones((3, 3, 4 // groups, 6))
    pixels = (8 // stride) * (10 // stride)
    assert only(work_of_parts(convolve, x, kernel)).operations == (2 * pixels * 6 * 9 * 4 // groups)
    # The gradient of the input, which a stride fills with zeros in between, is as much work.
    _, pull_back = jax.vjp(lambda x: convolve(x, kernel), x)
    assert only(
        work_of_parts(pull_back, jnp.ones((1, 8 // stride, 10 // stride, 6)))
    ).operations == (pytest.approx(2 * pixels * 6 * 9 * 4 // groups))


def test_loops_count_their_rounds_and_branches_once():
    def looped(x):
        return jax.lax.scan(lambda x, _: (x @ x, None), x, length=5)[0]

    def branched(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: (x @ x) @ x, x)

    x = jnp.ones((4, 4))
    assert only(work_of_parts(looped, x)).operations == 5 * 2 * 4**3
    assert only(work_of_parts(branched, x)).operations == 2 * 2 * 4**3


def test_time_inside_of_others_counts_once():
    spans = [(0, 10e9, "while"), (1e9, 3e9, "dot"), (3e9, 6e9, "dot"), (11e9, 12e9, "add")]
    assert own_seconds(spans) == [("while", 5), ("dot", 2), ("dot", 3), ("add", 1)]


def test_the_profile_of_a_program_names_its_operations():
    def function(x):
        return jnp.sort(x @ x, axis=-1)

    x = jnp.ones((200, 200))
    compiled = jax.jit(function).lower(x).compile()
    seconds = operation_seconds(lambda: jax.block_until_ready(compiled(x)), times=2)
    names = operation_names(compiled.as_text())
    found = {names[operation].rpartition("/")[2] for operation in seconds if operation in names}
    assert "sort" in found
    assert all(value >= 0 for value in seconds.values())
