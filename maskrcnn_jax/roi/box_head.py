"""The box head: what is in a RoI, and where exactly.

Shapes: b images, n RoIs, o pooled side, c channels, k classes, k1 = k + 1 logits,
r 4 * k deltas (4 if class-agnostic, 4 * k1 with those of the background).
"""

import dataclasses
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.layers import Dense, full_precision
from maskrcnn_jax.losses import LossTerm, smooth_l1, softmax_cross_entropy
from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.structures import GroundTruth, Samples

_XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


@dataclass(frozen=True, kw_only=True)
class BoxHeadConfig:
    """``box_weights`` scale the deltas (dx, dy, dw, dh) to about unit variance.

    ``background_deltas`` adds four outputs for the background, as torchvision has them; they take
    no part in anything.
    """

    hidden: int = 1024
    class_agnostic: bool = False
    background_deltas: bool = False
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    smooth_l1_beta: float = 0.0

    def build(self, num_classes: int) -> "BoxHead":
        return BoxHead(self, num_classes)


class BoxHead(nn.Module):
    """Two fully connected layers shared by classification and regression."""

    config: BoxHeadConfig
    num_classes: int

    @nn.compact
    def __call__(
        self, pooled: Float[Array, "*n o o c"]
    ) -> tuple[Float[Array, "*n k1"], Float[Array, "*n r"]]:
        """Returns class logits, background last, and box deltas, both in full precision."""
        x = pooled.reshape(*pooled.shape[:-3], -1)
        x = relu(Dense(self.config.hidden, kernel_init=_XAVIER, name="fc1")(x))
        x = relu(Dense(self.config.hidden, kernel_init=_XAVIER, name="fc2")(x))
        x = full_precision(x)
        boxes_per_roi = self.num_classes + self.config.background_deltas
        boxes_per_roi = 1 if self.config.class_agnostic else boxes_per_roi
        logits = nn.Dense(
            self.num_classes + 1, kernel_init=nn.initializers.normal(0.01), name="classes"
        )(x)
        deltas = nn.Dense(
            4 * boxes_per_roi, kernel_init=nn.initializers.normal(0.001), name="deltas"
        )(x)
        return logits, deltas


def box_losses(
    logits: Float[Array, "*n k1"],
    deltas: Float[Array, "*n r"],
    samples: Samples,
    truth_boxes: Float[Array, "*n 4"],
    *,
    config: BoxHeadConfig,
) -> dict[str, LossTerm]:
    """Cross entropy over all samples, and box regression of the positive ones.

    Both are divided by the number of samples, so that an image with few objects weighs no more
    than its objects do (Fast R-CNN; Detectron2 ``FastRCNNOutputLayers.box_reg_loss``).
    """
    labels, valid = samples.labels, samples.valid
    positive = valid & (labels < logits.shape[-1] - 1)
    predicted = _of_true_classes(deltas, samples, positive)
    wanted = box_ops.encode(truth_boxes, samples.boxes, config.box_weights)
    regression = smooth_l1(
        predicted,
        wanted,
        jnp.broadcast_to(positive[..., None], wanted.shape),
        beta=config.smooth_l1_beta,
    )
    classification = softmax_cross_entropy(logits, labels, valid)
    return {
        "roi_class": classification,
        "roi_box": LossTerm(regression.sum, classification.count),
    }


def sampled_box_losses(
    logits: Float[Array, "b n k1"],
    deltas: Float[Array, "b n r"],
    samples: Samples,
    truth: GroundTruth,
    *,
    config: BoxHeadConfig,
) -> dict[str, LossTerm]:
    """``box_losses`` of a batch of samples, each against the box of its matched object."""
    truth_boxes = jnp.take_along_axis(truth.boxes, samples.matched[..., None], axis=1)
    return box_losses(logits, deltas, samples, truth_boxes, config=config)


def refined_positives(
    deltas: Float[Array, "*n r"], positives: Samples, *, config: BoxHeadConfig
) -> Samples:
    """The positive samples with what the box head makes of their boxes, for the true classes.

    As in Detectron2 (``predict_boxes_for_gt_classes``) they are not clipped, and no gradient flows
    through them.
    """
    chosen = _of_true_classes(deltas, positives, positives.valid)
    boxes = box_ops.decode(chosen, positives.boxes, config.box_weights)
    return dataclasses.replace(positives, boxes=jax.lax.stop_gradient(boxes))


def _of_true_classes(deltas: Array, samples: Samples, positive: Bool[Array, "*n"]) -> Array:
    """The four deltas of each sample's class, or the only ones."""
    per_class = deltas.reshape(*deltas.shape[:-1], -1, 4)
    which = jnp.where(positive & (per_class.shape[-2] > 1), samples.labels, 0)
    return jnp.take_along_axis(per_class, which[..., None, None], axis=-2)[..., 0, :]
