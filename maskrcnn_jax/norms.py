"""Normalisation layers. Every config builds a module ``norm(x, valid=None) -> x``.

The output has the dtype of ``x``; a bfloat16 ``x`` is normalised in float32.

``valid`` says which entries of the leading axis of ``x`` are real, for layers that normalise over
that axis.
"""

from dataclasses import dataclass
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.layers import full_precision


@dataclass(frozen=True, kw_only=True)
class FrozenBatchNormConfig:
    """BatchNorm whose statistics and affine transform never change (Detectron2 FrozenBN)."""

    epsilon: float = 1e-5

    def build(self, name: str) -> "FrozenBatchNorm":
        return FrozenBatchNorm(self, name=name)


@dataclass(frozen=True, kw_only=True)
class BatchNormConfig:
    """BatchNorm over all valid entries of the global batch.

    ``axis_name`` is the mesh axis over which statistics are shared, None for a single program.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis_name: str | None = "data"

    def build(self, name: str) -> "BatchNorm":
        return BatchNorm(self, name=name)


@dataclass(frozen=True, kw_only=True)
class GroupNormConfig:
    """Normalises each entry over its pixels and the channels of a group (Wu and He, 2018)."""

    groups: int = 32

    def __post_init__(self):
        check_options(self, groups=(self.groups >= 1, "at least 1"))

    def build(self, name: str) -> "GroupNorm":
        return GroupNorm(self, name=name)


NormConfig: TypeAlias = FrozenBatchNormConfig | BatchNormConfig | GroupNormConfig


class FrozenBatchNorm(nn.Module):
    """x * scale / sqrt(var + eps) + ...; all four vectors live in the collection ``frozen``."""

    config: FrozenBatchNormConfig

    @nn.compact
    def __call__(self, x: Float[Array, "*b c"], valid: Array | None = None) -> Array:
        del valid
        shape = x.shape[-1:]
        scale = self.variable("frozen", "scale", jnp.ones, shape).value
        bias = self.variable("frozen", "bias", jnp.zeros, shape).value
        mean = self.variable("frozen", "mean", jnp.zeros, shape).value
        var = self.variable("frozen", "var", jnp.ones, shape).value
        scale = scale * jax.lax.rsqrt(var + self.config.epsilon)
        return (x * scale + (bias - mean * scale)).astype(x.dtype)


class BatchNorm(nn.Module):
    """Normalises by the batch where ``batch_stats`` is mutable (training), else by averages.

    Unlike ``flax.linen.BatchNorm`` it needs no mode flag, and it leaves padded entries out. Its
    running variance is the unbiased one, as in PyTorch.
    """

    config: BatchNormConfig

    @nn.compact
    def __call__(self, x: Float[Array, "n *hw c"], valid: Bool[Array, " n"] | None = None) -> Array:
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        mean, var = running_mean.value, running_var.value
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            mean, var, count = self._batch_statistics(x, valid)
            share = jnp.where(count > 0, 1 - self.config.momentum, 0)
            running_mean.value += share * (mean - running_mean.value)
            unbiased = var * count / jnp.maximum(count - 1, 1)
            running_var.value += share * (unbiased - running_var.value)
        scale = scale * jax.lax.rsqrt(var + self.config.epsilon)
        return (x * scale + (bias - mean * scale)).astype(x.dtype)

    def _batch_statistics(self, x: Array, valid: Array | None) -> tuple[Array, Array, Array]:
        """Mean and biased variance of each channel over the valid entries, and their number."""
        x = full_precision(x).reshape(x.shape[0], -1, x.shape[-1])
        weight = jnp.ones(x.shape[:2]) if valid is None else jnp.ones(x.shape[:2]) * valid[:, None]
        count = self._sum_over_devices(weight.sum())
        x = jnp.where(weight[..., None] > 0, x, 0)
        mean = self._sum_over_devices(x.sum((0, 1))) / jnp.maximum(count, 1)
        squares = (jnp.square(x - mean) * weight[..., None]).sum((0, 1))
        return mean, self._sum_over_devices(squares) / jnp.maximum(count, 1), count

    def _sum_over_devices(self, value: Array) -> Array:
        axis_name = self.config.axis_name
        return value if axis_name is None else jax.lax.psum(value, axis_name)


class GroupNorm(nn.Module):
    """``flax.linen.GroupNorm`` behind this module's signature."""

    config: GroupNormConfig

    def setup(self):
        self.norm = nn.GroupNorm(num_groups=self.config.groups, epsilon=1e-5)
        nn.share_scope(self, self.norm)  # its parameters are this module's own

    def __call__(self, x: Float[Array, "b *hw c"], valid: Array | None = None) -> Array:
        del valid
        channels = x.shape[-1]
        wanted = f"a divisor of {channels}, the channels"
        check_options(self.config, groups=(channels % self.config.groups == 0, wanted))
        return self.norm(x).astype(x.dtype)
