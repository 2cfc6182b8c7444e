"""Weights that depend on nothing but the names and shapes of the tensors.

Two systems that are given the same names thus have the same network without exchanging a file.
Each tensor is drawn in float64 by a PCG64 generator seeded with the CRC-32 of its name, whatever
system the name is of. Random numbers of a unit normal distribution are always drawn first; scales
are such that activations stay near 1 and scores differ, so that a random detector finds much.

Layouts are PyTorch's: convolutions OIHW, linear layers [out, in], transposed convolutions IOHW.
"""

import zlib
from collections.abc import Mapping

import numpy as np

# Variance times fan-in of a weight, by the first of these parts that its name contains.
_GAINS = (
    ("stem.conv1.weight", 2 / 60**2),  # pixels that are not divided by their deviation
    ("fpn_lateral", 0.04),
    ("inner_blocks", 0.04),
    ("fpn", 1.0),
    ("objectness_logits", 4.0),
    ("cls_logits", 4.0),
    ("anchor_deltas", 0.05),
    ("rpn.head.bbox_pred", 0.05),
    ("bbox_pred", 0.5),
    ("cls_score", 8.0),
    ("mask_head.predictor", 8.0),
    ("mask_fcn_logits", 8.0),
    ("lateral_convs", 0.04),
    ("rpn_cls", 4.0),
    ("rpn_reg", 0.05),
    ("fc_cls", 8.0),
    ("fc_reg", 0.5),
    ("conv_logits", 8.0),
    ("fc_mask_iou", 0.02),
)
_OTHER_GAIN = 2.0

_TRANSPOSED = ("deconv", "conv5_mask", "upsample")
_LAST_OF_BLOCK = ("conv3", "bn3")


def seeded_tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The tensor of every name."""
    return {name: seeded_tensor(name, tuple(shape)) for name, shape in shapes.items()}


def seeded_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A float64 array of this shape."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    normal = generator.standard_normal(shape)
    if name.endswith("running_var"):
        return generator.uniform(0.5, 1.5, shape)
    if len(shape) < 2 and name.endswith("weight"):  # the scale of a norm
        return generator.uniform(*_scale_range(name), shape)
    if len(shape) < 2 or name.endswith("running_mean"):
        return 0.1 * normal
    return normal * np.sqrt(_gain(name) / _fan_in(name, shape))


def _scale_range(name: str) -> tuple[float, float]:
    """The last norm of a residual branch is small: depth must not make activations grow."""
    return (0.1, 0.3) if _contains(name, _LAST_OF_BLOCK) else (0.7, 1.3)


def _gain(name: str) -> float:
    return next((gain for part, gain in _GAINS if part in name), _OTHER_GAIN)


def _fan_in(name: str, shape: tuple[int, ...]) -> int:
    return shape[0] if _contains(name, _TRANSPOSED) else int(np.prod(shape[1:]))


def _contains(name: str, parts: tuple[str, ...]) -> bool:
    return any(part in name for part in parts)
