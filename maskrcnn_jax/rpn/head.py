"""The RPN head: objectness and box deltas for every anchor of every level."""

from collections.abc import Mapping

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.layers import Conv, full_precision
from maskrcnn_jax.ops.relu import relu

_NORMAL = nn.initializers.normal(0.01)


class RPNHead(nn.Module):
    """One 3x3 convolution and two 1x1 ones, shared by all levels."""

    anchors_per_cell: int

    @nn.compact
    def __call__(
        self, features: Mapping[int, Float[Array, "b _ _ c"]]
    ) -> tuple[dict[int, Float[Array, "b _"]], dict[int, Float[Array, "b _ 4"]]]:
        """Returns objectness logits and deltas of each level, flattened in the anchors' order.

        Both are float32 also for features of bfloat16, in which many logits would be equal.
        """
        channels = next(iter(features.values())).shape[-1]
        conv = Conv(channels, 3, kernel_init=_NORMAL, name="conv")
        objectness = Conv(self.anchors_per_cell, 1, kernel_init=_NORMAL, name="objectness")
        deltas = Conv(4 * self.anchors_per_cell, 1, kernel_init=_NORMAL, name="deltas")
        hidden = {level: full_precision(relu(conv(x))) for level, x in features.items()}
        return (
            {level: objectness(x).reshape(x.shape[0], -1) for level, x in hidden.items()},
            {level: deltas(x).reshape(x.shape[0], -1, 4) for level, x in hidden.items()},
        )
