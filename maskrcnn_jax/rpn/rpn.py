"""The region proposal network: boxes that might hold an object (Ren et al., 2015).

Shapes: b images, n anchors of an image, s sampled anchors.
"""

from dataclasses import dataclass, field
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from maskrcnn_jax.losses import LossTerm, binary_cross_entropy, smooth_l1
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.rpn.anchors import AnchorConfig, pyramid_anchors
from maskrcnn_jax.rpn.head import RPNHead
from maskrcnn_jax.rpn.proposals import BOX_WEIGHTS, ProposalConfig, propose
from maskrcnn_jax.rpn.targets import AnchorSamplingConfig, AnchorTargets, anchor_targets
from maskrcnn_jax.structures import Features, GroundTruth, Proposals


@dataclass(frozen=True, kw_only=True)
class RPNConfig:
    """``smooth_l1_beta`` 0 makes the box loss plain L1.

    Both losses are sums over the sampled anchors, divided by the number of samples wanted
    (Detectron2), or by the number that were found (torchvision, MMDetection).
    """

    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    sampling: AnchorSamplingConfig = field(default_factory=AnchorSamplingConfig)
    train_proposals: ProposalConfig = field(
        default_factory=lambda: ProposalConfig(before_nms=2000, after_nms=1000)
    )
    test_proposals: ProposalConfig = field(
        default_factory=lambda: ProposalConfig(before_nms=1000, after_nms=1000)
    )
    smooth_l1_beta: float = 0.0
    divided_by: Literal["wanted", "found"] = "wanted"

    def build(self) -> "RPN":
        return RPN(self)


class RPN(nn.Module):
    config: RPNConfig

    def setup(self):
        self.head = RPNHead(self.config.anchors.per_cell)

    def loss(
        self,
        features: Features,
        sizes: Int[Array, "b 2"],
        truth: GroundTruth,
        keys: Key[Array, " b"],
    ) -> tuple[dict[str, LossTerm], Proposals]:
        """Losses over sampled anchors, and the proposals that train the second stage."""
        logits, deltas = self.head(features)
        anchors = self._anchors(features)
        losses = self._losses(logits, deltas, anchors, truth, keys)
        return losses, self._propose(logits, deltas, anchors, sizes, self.config.train_proposals)

    def predict(self, features: Features, sizes: Int[Array, "b 2"]) -> Proposals:
        logits, deltas = self.head(features)
        anchors = self._anchors(features)
        return self._propose(logits, deltas, anchors, sizes, self.config.test_proposals)

    def _anchors(self, features: Features) -> dict[int, Array]:
        shapes = {level: (x.shape[1], x.shape[2]) for level, x in features.items()}
        dtype = jnp.promote_types(next(iter(features.values())).dtype, jnp.float32)
        anchors = pyramid_anchors(self.config.anchors, shapes)
        return {level: jnp.asarray(boxes, dtype) for level, boxes in anchors.items()}

    def _losses(self, logits, deltas, anchors, truth: GroundTruth, keys) -> dict[str, LossTerm]:
        all_anchors = jnp.concatenate(list(anchors.values()))
        targets = jax.vmap(
            lambda boxes, valid, key: anchor_targets(
                all_anchors, boxes, valid, key, config=self.config.sampling
            )
        )(truth.boxes, truth.valid, keys)
        return rpn_losses(
            jnp.concatenate(list(logits.values()), axis=1),
            jnp.concatenate(list(deltas.values()), axis=1),
            all_anchors,
            targets,
            config=self.config,
        )

    def _propose(self, logits, deltas, anchors, sizes, config: ProposalConfig) -> Proposals:
        def for_one_image(logits, deltas, size):
            return propose(logits, deltas, anchors, size, config=config)

        return jax.vmap(for_one_image)(logits, deltas, sizes)


def rpn_losses(
    logits: Float[Array, "b n"],
    deltas: Float[Array, "b n 4"],
    anchors: Float[Array, "n 4"],
    targets: AnchorTargets,
    *,
    config: RPNConfig,
) -> dict[str, LossTerm]:
    """Objectness and box loss, both divided by the same number of samples."""
    chosen = jnp.take_along_axis(logits, targets.indices, axis=1)  # [b, s]
    chosen_deltas = jnp.take_along_axis(deltas, targets.indices[..., None], axis=1)  # [b, s, 4]
    wanted = box_ops.encode(targets.boxes, anchors[targets.indices], BOX_WEIGHTS)
    objectness = binary_cross_entropy(chosen, targets.positive.astype(chosen.dtype), targets.valid)
    box = smooth_l1(
        chosen_deltas,
        wanted,
        jnp.broadcast_to(targets.positive[..., None], wanted.shape),
        beta=config.smooth_l1_beta,
    )
    count = objectness.count
    if config.divided_by == "wanted":
        count = jnp.asarray(logits.shape[0] * config.sampling.num_samples, logits.dtype)
    return {
        "rpn_objectness": LossTerm(objectness.sum, count),
        "rpn_box": LossTerm(box.sum, count),
    }
