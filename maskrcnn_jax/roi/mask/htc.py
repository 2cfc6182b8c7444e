"""The mask head of a stage of Hybrid Task Cascade: an FCN head that the one before talks to.

Shapes: n RoIs of all images, o pooled side, d channels of the pyramid, c channels of the head,
k side of the mask.
"""

import flax.linen as nn
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.layers import Conv
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig, MaskConvs, MaskOutputs


class HTCMaskHead(nn.Module):
    """The layers of an FCN head, in two steps: others go on from the features in between.

    The features of the stage before enter through a 1x1 convolution, which the first stage does
    without (mask information flow: Chen et al., 2019, section 3.2; MMDetection ``HTCMaskHead``).
    """

    config: FCNMaskHeadConfig
    num_classes: int

    def setup(self):
        self.convs = MaskConvs(self.config)
        self.outputs = MaskOutputs(self.config, self.num_classes)
        nn.share_scope(self, self.convs)  # their parameters are this module's own
        nn.share_scope(self, self.outputs)

    @nn.compact
    def features(
        self,
        pooled: Float[Array, "n o o d"],
        before: Float[Array, "n o o c"] | None,
        valid: Bool[Array, " n"],
    ) -> Float[Array, "n o o c"]:
        """What this stage makes of RoIs; ``before`` is what the stage before has made of them."""
        if before is not None:
            init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
            flow = Conv(pooled.shape[-1], 1, kernel_init=init, name="flow")
            pooled = pooled + relu(flow(before))
        return self.convs(pooled, valid)

    def logits(
        self, features: Float[Array, "n o o c"], labels: Int[Array, " n"]
    ) -> Float[Array, "n k k"]:
        """Mask logits of the classes ``labels``."""
        return self.outputs(features, labels)
