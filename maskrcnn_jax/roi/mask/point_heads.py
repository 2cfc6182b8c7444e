"""The two networks of PointRend: a coarse mask of a RoI, and the mask at one point of it.

Shapes: n RoIs, o side of the features (2 * k), k side of the coarse mask, c d channels, p points of
a RoI, q classes.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.errors import check_options
from maskrcnn_jax.layers import Dense, full_precision
from maskrcnn_jax.ops.relu import relu

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
_SMALL = nn.initializers.normal(0.001)


@dataclass(frozen=True, kw_only=True)
class CoarseHeadConfig:
    """``side`` is that of the mask; the head sees twice as many points along each axis."""

    side: int = 7
    channels: int = 256
    hidden: int = 1024

    def __post_init__(self):
        check_options(self, side=(self.side >= 1, "at least 1"))

    def build(self, num_classes: int) -> "CoarseHead":
        return CoarseHead(self, num_classes)


class CoarseHead(nn.Module):
    """A convolution that halves the side, and two fully connected layers, as in a box head."""

    config: CoarseHeadConfig
    num_classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "n o o c"]) -> Float[Array, "n k k q"]:
        """Logits of every class, in full precision.

        The outputs of the last layer go through the rows of one class before the next, as in the
        peers' weights.
        """
        config = self.config
        x = relu(Halve(config.channels, name="conv")(x))
        x = x.reshape(x.shape[0], -1)
        x = relu(Dense(config.hidden, kernel_init=_XAVIER, name="fc1")(x))
        x = full_precision(relu(Dense(config.hidden, kernel_init=_XAVIER, name="fc2")(x)))
        num_outputs = self.num_classes * config.side**2
        logits = nn.Dense(num_outputs, kernel_init=_SMALL, name="predictor")(x)
        logits = logits.reshape(-1, self.num_classes, config.side, config.side)
        return jnp.moveaxis(logits, 1, -1)


class Halve(nn.Module):
    """Convolution of 2x2 pixels with stride 2: every pixel is seen once."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "n o o c"]) -> Float[Array, "n k k d"]:
        kernel = self.param("kernel", _MSRA, (2, 2, x.shape[-1], self.channels))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        n, side, _, c = x.shape
        patches = x.reshape(n, side // 2, 2, side // 2, 2, c)
        x = jnp.einsum("nhiwjc,ijcd->nhwd", patches, kernel.astype(x.dtype))
        return (x + bias).astype(x.dtype)  # the bias as in ``layers``


@dataclass(frozen=True, kw_only=True)
class PointHeadConfig:
    num_layers: int = 3
    channels: int = 256

    def __post_init__(self):
        check_options(self, num_layers=(self.num_layers >= 0, "at least 0"))

    def build(self, num_classes: int) -> "PointHead":
        return PointHead(self, num_classes)


class PointHead(nn.Module):
    """A perceptron for every point, which sees the coarse logits again in every layer."""

    config: PointHeadConfig
    num_classes: int

    @nn.compact
    def __call__(
        self, features: Float[Array, "n p c"], coarse: Float[Array, "n p q"]
    ) -> Float[Array, "n p q"]:
        """Logits of every class, in full precision."""
        x, narrow = features, coarse.astype(features.dtype)
        for index in range(self.config.num_layers):
            x = jnp.concatenate([x, narrow], -1)
            layer = Dense(self.config.channels, kernel_init=_MSRA, name=f"fc{index + 1}")
            x = relu(layer(x))
        x = jnp.concatenate([full_precision(x), coarse], -1)
        return nn.Dense(self.num_classes, kernel_init=_SMALL, name="predictor")(x)
