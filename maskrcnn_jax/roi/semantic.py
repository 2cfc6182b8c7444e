"""The semantic branch of Hybrid Task Cascade: what every place of the image shows.

All levels are fused at the resolution of one, on which a small network predicts a class for each
place. What it has learnt for that is added to the features of the RoIs (Chen et al., 2019, section
3.3; MMDetection ``FusedSemanticHead``).

Shapes: b images, y x size of the fused level, c channels of the pyramid, q semantic classes,
n RoIs of an image, o pooled side.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.layers import Conv, full_precision
from maskrcnn_jax.losses import LossTerm, softmax_cross_entropy
from maskrcnn_jax.ops.relu import relu
from maskrcnn_jax.ops.resize import resize_corners
from maskrcnn_jax.roi.pooling import PoolingConfig, RoIAlignConfig, pool
from maskrcnn_jax.roi.semantic_targets import AnySemanticTargetConfig, ObjectMasksConfig
from maskrcnn_jax.structures import SEMANTIC_STRIDE, GroundTruth

LEVEL = SEMANTIC_STRIDE.bit_length() - 1  # of the pyramid, at which all are fused

_MSRA = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


@dataclass(frozen=True, kw_only=True)
class SemanticHeadConfig:
    """``num_convs`` 3x3 convolutions with as many channels as the pyramid has.

    ``pooling`` makes RoIs of its features, which are averaged down to the sides of the box and the
    mask features.
    """

    target: AnySemanticTargetConfig = field(default_factory=ObjectMasksConfig)
    num_convs: int = 4
    pooling: PoolingConfig = field(
        default_factory=lambda: RoIAlignConfig(output_size=14, levels=(LEVEL,))
    )
    loss_weight: float = 0.2

    def __post_init__(self):
        if self.pooling.levels != (LEVEL,):
            raise InputError(
                f"roi.semantic.pooling.levels are {self.pooling.levels}; the semantic features "
                f"have the one level {LEVEL}: set them to ({LEVEL},)"
            )

    def build(self, num_classes: int) -> "SemanticHead":
        return SemanticHead(self, num_classes)


class SemanticOutputs(NamedTuple):
    features: Float[Array, "b y x c"]
    logits: Float[Array, "b y x q"]  # in full precision


class SemanticHead(nn.Module):
    config: SemanticHeadConfig
    num_classes: int

    @nn.compact
    def __call__(self, features: Mapping[int, Float[Array, "b _ _ c"]]) -> SemanticOutputs:
        _, height, width, channels = features[LEVEL].shape
        num_outputs = self.config.target.num_outputs(self.num_classes)

        def conv(x: Array, size: int, name: str) -> Array:
            return relu(Conv(channels, size, kernel_init=_MSRA, name=name)(x))

        laterals = (
            conv(resize_corners(maps, (height, width)), 1, f"lateral{level}")
            for level, maps in sorted(features.items())
        )
        x = functools.reduce(jnp.add, laterals)
        for index in range(self.config.num_convs):
            x = conv(x, 3, f"conv{index + 1}")
        logits = nn.Dense(num_outputs, kernel_init=_MSRA, name="classes")(full_precision(x))
        return SemanticOutputs(conv(x, 1, "embedding"), logits)


def semantic_losses(
    logits: Float[Array, "b y x q"],
    truth: GroundTruth,
    sizes: Int[Array, "b 2"],
    *,
    num_classes: int,
    config: SemanticHeadConfig,
) -> dict[str, LossTerm]:
    """Cross entropy of all places of the images whose class is known.

    The mean is over these; MMDetection divides by all, those of the padding included.
    """
    _, height, width, _ = logits.shape
    labels, known = jax.vmap(
        lambda truth: config.target.labels(truth, (height, width), num_classes=num_classes)
    )(truth)
    rows, columns = (jnp.arange(cells) * SEMANTIC_STRIDE for cells in (height, width))
    real = (rows[:, None] < sizes[:, 0, None, None]) & (columns < sizes[:, 1, None, None])
    term = softmax_cross_entropy(logits, labels, known & real)
    return {"roi_semantic": term.weighted(config.loss_weight)}


def pool_semantic(
    features: Float[Array, "b y x c"],
    boxes: Float[Array, "b n 4"],
    valid: Bool[Array, "b n"],
    *,
    side: int,
    config: PoolingConfig,
) -> Float[Array, "b n o o c"]:
    """The semantic features of RoIs, with ``side`` cells per side."""
    pooled = pool({LEVEL: features}, boxes, valid, config=config)
    factor = config.output_size // side
    cells = pooled.reshape(*pooled.shape[:2], side, factor, side, factor, -1)
    return cells.mean((3, 5))
