"""Which mask head weights belong to, read off the canonical names and shapes of its arrays."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from maskrcnn_jax.convert import heads
from maskrcnn_jax.roi.mask import (
    AnyMaskHeadConfig,
    FCNMaskHeadConfig,
    MaskScoringConfig,
    PointRendMaskHeadConfig,
    UnwrappedMaskHeadConfig,
)

Tensors = Mapping[str, np.ndarray]


def recognise_mask_head(
    standard: AnyMaskHeadConfig | None, tensors: Tensors
) -> AnyMaskHeadConfig | None:
    """The standard of a system with the sizes that the arrays have; None where there are none."""
    head = heads.first_head(tensors, "mask")
    if standard is None or not any(name.startswith(f"{head}/") for name in tensors):
        return None
    found = _unwrapped(standard, tensors, head)
    if f"{head}/iou/predictor/kernel" not in tensors:
        return found
    return MaskScoringConfig(
        head=found,
        channels=tensors[f"{head}/iou/conv1/kernel"].shape[-1],
        hidden=tensors[f"{head}/iou/predictor/kernel"].shape[0],
    )


def is_point_rend(names: Iterable[str]) -> bool:
    """Whether the mask head has a part that only PointRend has."""
    return any(re.match(r"roi/mask_heads?(_\d+)?/(coarse|point)/", name) for name in names)


def _unwrapped(standard: AnyMaskHeadConfig, tensors: Tensors, head: str) -> UnwrappedMaskHeadConfig:
    """The standard of a cascade is an FCN head, whose place Detectron2's PointRend may take."""
    if is_point_rend(tensors):
        is_standard = isinstance(standard, PointRendMaskHeadConfig)
        return _point_rend(standard if is_standard else PointRendMaskHeadConfig(), tensors, head)
    return _fcn(
        standard if isinstance(standard, FCNMaskHeadConfig) else FCNMaskHeadConfig(), tensors, head
    )


def _fcn(standard: FCNMaskHeadConfig, tensors: Tensors, head: str) -> FCNMaskHeadConfig:
    outputs = tensors[f"{head}/predictor/kernel"].shape[-1]
    return dataclasses.replace(
        standard,
        num_convs=_count(tensors, rf"{head}/conv\d+/kernel"),
        channels=tensors[f"{head}/upsample/kernel"].shape[-1],
        class_agnostic=heads.num_classes(tensors) > 1 and outputs == 1,
    )


def _point_rend(
    standard: PointRendMaskHeadConfig, tensors: Tensors, head: str
) -> PointRendMaskHeadConfig:
    outputs = tensors[f"{head}/coarse/predictor/bias"].size
    coarse = dataclasses.replace(
        standard.coarse,
        side=math.isqrt(outputs // heads.num_classes(tensors)),
        channels=tensors[f"{head}/coarse/conv/kernel"].shape[-1],
        hidden=tensors[f"{head}/coarse/predictor/kernel"].shape[0],
    )
    point = dataclasses.replace(
        standard.point,
        num_layers=_count(tensors, rf"{head}/point/fc\d+/kernel"),
        channels=tensors[f"{head}/point/fc1/kernel"].shape[-1],
    )
    return dataclasses.replace(standard, coarse=coarse, point=point)


def _count(names: Iterable[str], expression: str) -> int:
    return sum(re.fullmatch(expression, name) is not None for name in names)
