"""bfloat16 inside backbone, neck and heads; float32 everywhere else."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.training.state import merge, split
from tests import tiny

CONFIGS = {
    precision: dataclasses.replace(tiny.tiny_config(samples_everything=True), precision=precision)
    for precision in ("float32", "bfloat16")
}
PARAMS, CONSTANTS = split(tiny.tiny_variables(), CONFIGS["float32"].frozen_modules())
BATCH, KEYS = tiny.random_batch(0), tiny.image_keys(2)

BFLOAT16 = np.dtype(jnp.bfloat16)
# What may be done in bfloat16: products that are accumulated in float32 by the hardware, additions
# of two, the larger of some, and moving numbers.
PRODUCTS = {"conv_general_dilated", "dot_general"}
ADDITIONS = {"add", "add_any"}
COMPARISONS = {"max", "reduce_window_max", "select_n"}
MOVES = set(
    "broadcast_in_dim concatenate convert_element_type dynamic_slice gather pad reshape rev slice "
    "split squeeze stack transpose unstack".split()
)
CALLS = {"cond", "custom_jvp_call", "custom_vjp_call", "jit"}


def total(params, precision):
    """The loss; its terms and the new running averages beside it."""
    model, variables = CONFIGS[precision].build(), merge(params, CONSTANTS)
    terms: Any
    terms, updates = model.apply(variables, BATCH, KEYS, method="loss", mutable=["batch_stats"])
    return sum(term.mean for term in terms.values()), (terms, updates)


gradients_at = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=1)


@functools.partial(jax.jit, static_argnums=0)
def predictions(precision):
    model: Any = CONFIGS[precision].build()
    return model.apply(tiny.tiny_variables(), BATCH, method="predict")


def equations(jaxpr):
    """All of a program, those of inner functions included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.fixture(scope="module")
def program():
    """Of a loss and its gradients in bfloat16."""
    step = jax.make_jaxpr(jax.value_and_grad(total, has_aux=True), static_argnums=1)
    return list(equations(step(PARAMS, "bfloat16").jaxpr))


# ---- what is done in which precision -------------------------------------------------------------


def low_precision(program):
    """The equations with a result in bfloat16."""
    return [e for e in program if any(x.aval.dtype == BFLOAT16 for x in e.outvars)]


def test_all_convolutions_run_in_bfloat16(program):
    convolutions = [e for e in program if e.primitive.name == "conv_general_dilated"]
    assert len(convolutions) > 20
    assert {x.aval.dtype for e in convolutions for x in (*e.invars, *e.outvars)} == {BFLOAT16}


def test_in_bfloat16_there_are_products_and_additions_of_two_and_nothing_else(program):
    """No exponential, division or sort: losses, boxes, norms and NMS know only float32."""
    names = {e.primitive.name for e in low_precision(program)}
    assert names >= PRODUCTS | ADDITIONS
    assert names <= PRODUCTS | ADDITIONS | COMPARISONS | MOVES | CALLS | {"reduce_sum"}


def test_no_long_sum_is_taken_in_bfloat16(program):
    """A running sum would end at 256 times its terms; only axes of one are summed away."""
    sums = [e for e in low_precision(program) if e.primitive.name == "reduce_sum"]
    assert {e.invars[0].aval.size // e.outvars[0].aval.size for e in sums} == {1}


def test_gradients_and_running_averages_are_float32():
    (_, (terms, averages)), gradients = gradients_at(PARAMS, "bfloat16")
    found = {x.dtype for x in jax.tree.leaves((terms, averages, gradients))}
    assert found == {np.dtype(np.float32)}


# ---- how near it is to float32 -------------------------------------------------------------------


def test_losses_are_near():
    """bfloat16 has 8 bits, and the losses are means of many errors: they differ by 0.2 %.

    roi_class by 1.3 %: NMS decides otherwise between a few boxes with almost equal scores.
    """
    expected, found = (gradients_at(PARAMS, precision)[0][1][0] for precision in CONFIGS)
    for name, term in expected.items():
        rtol = 0.03 if name.startswith("roi") else 0.01
        np.testing.assert_allclose(found[name].mean, term.mean, rtol=rtol, err_msg=name)


def test_gradients_point_the_same_way():
    """Their cosines are above 0.999 in the heads and 0.990 deep in the backbone."""
    expected, found = (gradients_at(PARAMS, precision)[1] for precision in CONFIGS)
    for (path, a), b in zip(
        jax.tree.leaves_with_path(expected), jax.tree.leaves(found), strict=True
    ):
        cosine = (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())
        assert cosine > 0.98, jax.tree_util.keystr(path)
        np.testing.assert_allclose(jnp.linalg.norm(b), jnp.linalg.norm(a), rtol=0.1)


def test_detections_are_near():
    """Nine in ten have a counterpart; NMS decides otherwise where two scores are almost equal."""
    expected, found = tiny.predict(BATCH), predictions("bfloat16")
    assert expected.valid.all()
    near = (
        (np.abs(expected.boxes[:, :, None] - found.boxes[:, None]).max(-1) < 1)
        & (np.abs(expected.scores[:, :, None] - found.scores[:, None]) < 0.02)
        & (expected.labels[:, :, None] == found.labels[:, None])
        & found.valid[:, None]
    )
    assert near.any(-1).mean() > 0.8


def test_a_few_steps_lower_the_loss():
    params, losses = PARAMS, []
    for _ in range(10):
        (loss, _), gradients = gradients_at(params, "bfloat16")
        losses.append(float(loss))
        params = jax.tree.map(lambda p, g: p - 0.02 * g, params, gradients)
    assert losses[-1] < 0.8 * losses[0]
