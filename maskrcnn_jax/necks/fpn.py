"""Feature Pyramid Network (Lin et al., 2017)."""

from dataclasses import dataclass

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.layers import Conv
from maskrcnn_jax.norms import NormConfig
from maskrcnn_jax.ops.resize import repeat_pixels

_XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


@dataclass(frozen=True, kw_only=True)
class FPNConfig:
    """``norm`` follows every convolution, which then has no bias."""

    channels: int = 256
    norm: NormConfig | None = None

    def build(self) -> "FPN":
        return FPN(self)


class FPN(nn.Module):
    """Gives every level the same number of channels and the semantics of the top.

    Levels 2..5 in, 2..6 out: a 1x1 lateral convolution, the coarser level doubled by repetition
    and added, a 3x3 output convolution. Level 6 is level 5 subsampled by two.
    """

    config: FPNConfig

    @nn.compact
    def __call__(self, features: dict[int, Float[Array, "b _ _ _"]]) -> dict[int, Array]:
        outputs, coarser = {}, None
        for level in sorted(features, reverse=True):
            x = self._conv(features[level], 1, f"lateral{level}")
            if coarser is not None:
                x += repeat_pixels(coarser)
            outputs[level] = self._conv(x, 3, f"output{level}")
            coarser = x
        top = max(features)
        outputs[top + 1] = outputs[top][:, ::2, ::2]
        return dict(sorted(outputs.items()))

    def _conv(self, x: Array, size: int, name: str) -> Array:
        channels, norm = self.config.channels, self.config.norm
        x = Conv(channels, size, kernel_init=_XAVIER, use_bias=norm is None, name=name)(x)
        return x if norm is None else norm.build(f"{name}_norm")(x)
