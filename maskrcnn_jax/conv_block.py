"""A convolution, its norm and a ReLU."""

import flax.linen as nn
from jax.nn.initializers import Initializer
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.layers import Conv
from maskrcnn_jax.norms import NormConfig
from maskrcnn_jax.ops.relu import relu


class ConvBlock(nn.Module):
    """``valid`` is that of the norm. Without a norm the convolution has a bias."""

    channels: int
    size: int
    norm: NormConfig | None
    kernel_init: Initializer
    stride: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], valid: Bool[Array, " n"] | None = None
    ) -> Float[Array, "n _ _ d"]:
        x = Conv(
            self.channels,
            self.size,
            kernel_init=self.kernel_init,
            stride=self.stride,
            use_bias=self.norm is None,
            name="conv",
        )(x)
        return relu(x if self.norm is None else self.norm.build("norm")(x, valid))
