"""Moving average of the weights, which evaluates better than the last weights often do."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

Tree = Any


def averaged_part(params: Tree, constants: dict[str, Tree]) -> dict[str, Tree]:
    """What is averaged: all that training changes.

    That is the trained parameters, and the running statistics of BatchNorm, which belong to them.
    """
    statistics = {name: constants[name] for name in ("batch_stats",) if name in constants}
    return {"params": params, **statistics}


def next_average(average: Tree, values: Tree, *, decay: float, step: Int[Array, ""]) -> Tree:
    """average <- d average + (1 - d) values, after ``step`` steps before this one.

    d is ``decay``, or (1 + step) / (10 + step) while that is less, so that the random first weights
    are soon forgotten (TensorFlow ``ExponentialMovingAverage`` with ``num_updates``).
    """
    kept = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda a, x: a + (1 - kept).astype(a.dtype) * (x - a), average, values)
