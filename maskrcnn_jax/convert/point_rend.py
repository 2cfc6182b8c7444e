"""PointRend's mask head, read off the names and shapes of its arrays."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from maskrcnn_jax.convert import heads
from maskrcnn_jax.roi.mask import AnyMaskHeadConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig


def is_point_rend(names: Iterable[str], head: str) -> bool:
    """Whether the mask head with this canonical name has a part that only PointRend has."""
    return any(name.startswith((f"{head}/coarse/", f"{head}/point/")) for name in names)


def recognise_point_rend(
    standard: AnyMaskHeadConfig, tensors: Mapping[str, np.ndarray], head: str
) -> PointRendMaskHeadConfig:
    """The standard of a system with the sizes that the arrays have.

    That of its cascades is another mask head, which Detectron2's PointRend then takes the place of.
    """
    if not isinstance(standard, PointRendMaskHeadConfig):
        standard = PointRendMaskHeadConfig()
    outputs = tensors[f"{head}/coarse/predictor/bias"].size
    coarse = dataclasses.replace(
        standard.coarse,
        side=math.isqrt(outputs // heads.num_classes(tensors)),
        channels=tensors[f"{head}/coarse/conv/kernel"].shape[-1],
        hidden=tensors[f"{head}/coarse/predictor/kernel"].shape[0],
    )
    layers = [name for name in tensors if re.fullmatch(rf"{head}/point/fc\d+/kernel", name)]
    channels = tensors[f"{head}/point/fc1/kernel"].shape[-1]
    point = dataclasses.replace(standard.point, num_layers=len(layers), channels=channels)
    return dataclasses.replace(standard, coarse=coarse, point=point)
