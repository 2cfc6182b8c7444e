"""Floating-point operations and bytes of the matrix products and convolutions of a function.

Counted in what JAX traces, before XLA rewrites it, as the work that is asked for: two operations
for each multiplication with addition, and the bytes of operands and results. Everything else in a
detector is small beside them.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.extend import core

from benchmarks.profiling.parts import part_of


class Work(NamedTuple):
    operations: float
    num_bytes: float


def work_of_parts(function: Any, *arguments: Any) -> dict[str, Work]:
    """By part of the detector. What is in a loop without a known end counts as one round."""
    total: dict[str, Work] = defaultdict(lambda: Work(0, 0))
    traced = jax.make_jaxpr(function)(*arguments)
    for name, work in _products(traced.jaxpr, scope="", rounds=1):
        part = part_of(name)
        total[part] = Work(*(a + b for a, b in zip(total[part], work, strict=True)))
    return dict(total)


def _products(jaxpr: Any, *, scope: str, rounds: int) -> Iterator[tuple[str, Work]]:
    for equation in jaxpr.eqns:
        name = f"{scope}/{equation.source_info.name_stack}"
        primitive = equation.primitive.name
        if primitive in ("dot_general", "conv_general_dilated"):
            operations = {
                "dot_general": _dot_operations,
                "conv_general_dilated": _conv_operations,
            }[primitive](equation)
            arrays = [v.aval for v in (*equation.invars, *equation.outvars)]
            num_bytes = sum(x.size * x.dtype.itemsize for x in arrays)
            yield f"{name}/{primitive}", Work(rounds * operations, rounds * num_bytes)
        elif primitive == "cond":  # one branch runs; those for other platforms are as much work
            branches = [
                list(_products(branch.jaxpr, scope=name, rounds=rounds))
                for branch in equation.params["branches"]
            ]
            yield from max(branches, key=lambda found: sum(work.operations for _, work in found))
        else:
            inner = rounds * (equation.params["length"] if primitive == "scan" else 1)
            for nested in core.jaxprs_in_params(equation.params):
                yield from _products(nested, scope=name, rounds=inner)


def _dot_operations(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, out = equation.invars[0].aval, equation.outvars[0].aval
    return 2 * out.size * math.prod(left.shape[axis] for axis in contracted)


def _conv_operations(equation: Any) -> float:
    """Of a transposed convolution, without the products with zeros in between."""
    numbers = equation.params["dimension_numbers"]
    kernel, out = equation.invars[1].aval, equation.outvars[0].aval
    outputs = kernel.shape[numbers.rhs_spec[0]]
    dilation = math.prod(equation.params["lhs_dilation"])
    return 2 * out.size * kernel.size / outputs / dilation
