"""Random choice of a fixed number of training samples with at most a given share of positives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray


class Subsample(NamedTuple):
    """Chosen entries, the positive ones first; only the first ``max_positives`` can be positive."""

    indices: Int[Array, " s"]
    positive: Bool[Array, " s"]
    valid: Bool[Array, " s"]


def subsample(
    positive: Bool[Array, " n"],
    negative: Bool[Array, " n"],
    key: PRNGKeyArray,
    *,
    num_samples: int,
    max_positives: int,
) -> Subsample:
    """Draws ``min(num_samples, n)`` entries uniformly without replacement.

    Takes as many positives as there are, up to ``max_positives``, and fills up with negatives
    (Detectron2 ``sampling.py``). If there are too few of both, the rest is invalid.
    """
    num_samples = min(num_samples, positive.shape[0])
    max_positives = min(max_positives, num_samples)
    key_positive, key_negative = jax.random.split(key)
    positives = _random_order(positive, key_positive, max(max_positives, 1))
    negatives = _random_order(negative, key_negative, num_samples)

    num_positives = jnp.minimum(positive.sum(), max_positives)
    num_negatives = jnp.minimum(negative.sum(), num_samples - num_positives)
    slot = jnp.arange(num_samples)
    is_positive = slot < num_positives
    indices = jnp.where(
        is_positive,
        positives[jnp.minimum(slot, positives.shape[0] - 1)],
        negatives[jnp.maximum(slot - num_positives, 0)],
    )
    return Subsample(
        indices=indices, positive=is_positive, valid=slot < num_positives + num_negatives
    )


def _random_order(candidates: Array, key: Array, count: int) -> Array:
    """Indices of ``count`` entries: the candidates in random order, then others."""
    priority = jax.random.uniform(key, candidates.shape, jnp.float32)
    return jax.lax.top_k(jnp.where(candidates, priority, -1), count)[1]
