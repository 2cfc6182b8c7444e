"""A SOLOv2 small enough to compile in seconds, for the batches of ``tests.tiny``."""

import dataclasses
import functools
from typing import Any

from maskrcnn_jax.mask_features import MaskFeaturesConfig
from maskrcnn_jax.norms import GroupNormConfig
from maskrcnn_jax.solo.detections import SOLODetectionConfig
from maskrcnn_jax.solo.grids import GridConfig
from maskrcnn_jax.solo.head import SOLOHeadConfig
from maskrcnn_jax.solov2 import SOLOv2Config
from maskrcnn_jax.training.state import initial_variables
from tests import tiny

GRIDS = (
    GridConfig(side=8, sizes=(1.0, 24.0), min_area=2),
    GridConfig(side=6, sizes=(12.0, 40.0), min_area=2),
    GridConfig(side=4, sizes=(24.0, 60.0), min_area=4),
    GridConfig(side=3, sizes=(40.0, 90.0), min_area=8),
    GridConfig(side=2, sizes=(60.0, 200.0), min_area=8),
)


def tiny_solov2() -> SOLOv2Config:
    """Backbone and neck of ``tests.tiny``; the former is frozen, which shortens compilation."""
    base, norm = tiny.tiny_config(), GroupNormConfig(groups=4)
    return SOLOv2Config(
        num_classes=base.num_classes,
        backbone=dataclasses.replace(base.backbone, frozen_stages=5),
        neck=base.neck,
        head=SOLOHeadConfig(grids=GRIDS, num_convs=1, channels=16, norm=norm),
        mask_features=MaskFeaturesConfig(channels=8, outputs=8, norm=norm),
        detections=SOLODetectionConfig(max_candidates=20, max_detections=10),
    )


@functools.cache
def tiny_solov2_variables() -> dict[str, Any]:
    return tiny.variables_like(
        functools.partial(initial_variables, tiny_solov2().build(), seed=0), seed=1
    )
