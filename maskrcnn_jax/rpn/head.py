"""The RPN head: objectness and box deltas for every anchor of every level."""

from collections.abc import Mapping

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.ops.conv import conv_general_dilated

_NORMAL = nn.initializers.normal(0.01)


class RPNHead(nn.Module):
    """One 3x3 convolution and two 1x1 ones, shared by all levels."""

    anchors_per_cell: int

    @nn.compact
    def __call__(
        self, features: Mapping[int, Float[Array, "b _ _ c"]]
    ) -> tuple[dict[int, Float[Array, "b _"]], dict[int, Float[Array, "b _ 4"]]]:
        """Returns objectness logits and deltas of each level, flattened in the anchors' order."""
        channels = next(iter(features.values())).shape[-1]
        conv = self._conv(channels, 3, "conv")
        objectness = self._conv(self.anchors_per_cell, 1, "objectness")
        deltas = self._conv(4 * self.anchors_per_cell, 1, "deltas")
        hidden = {level: nn.relu(conv(x)) for level, x in features.items()}
        return (
            {level: objectness(x).reshape(x.shape[0], -1) for level, x in hidden.items()},
            {level: deltas(x).reshape(x.shape[0], -1, 4) for level, x in hidden.items()},
        )

    def _conv(self, channels: int, size: int, name: str) -> nn.Conv:
        pad = size // 2
        return nn.Conv(
            channels,
            (size, size),
            padding=((pad, pad), (pad, pad)),
            kernel_init=_NORMAL,
            conv_general_dilated=conv_general_dilated,
            name=name,
        )
