"""Procedural shapes, 128x128, with a small SOLOv2: the data of ``shapes``, without boxes.

    python train.py shapes_solov2 --workdir runs/shapes_solov2

Hardware: a laptop; on 2 cores beside other work 27 minutes. Seen on the 200 held-out images: mask
AP .18, mask AP50 .31 (one run, 2026-11-25; see docs/variants.md).
"""

import dataclasses

from configs.shapes import shapes
from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.mask_features import MaskFeaturesConfig
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.norms import GroupNormConfig
from maskrcnn_jax.solo.grids import GridConfig
from maskrcnn_jax.solo.head import SOLOHeadConfig
from maskrcnn_jax.solov2 import SOLOv2Config


def shapes_solov2() -> ExperimentConfig:
    """The backbone and the schedule of ``shapes``."""
    norm = GroupNormConfig(groups=8)
    grids = (
        GridConfig(side=16, sizes=(1.0, 24.0), min_area=4),
        GridConfig(side=12, sizes=(16.0, 40.0), min_area=4),
        GridConfig(side=8, sizes=(28.0, 64.0), min_area=8),
        GridConfig(side=6, sizes=(48.0, 96.0), min_area=8),
        GridConfig(side=4, sizes=(72.0, 128.0), min_area=8),
    )
    base = shapes()
    return dataclasses.replace(
        base,
        model=SOLOv2Config(
            num_classes=6,
            backbone=ResNetConfig(depth=18, width=32, norm=norm, frozen_stages=0),
            neck=FPNConfig(channels=64, norm=norm),
            head=SOLOHeadConfig(grids=grids, num_convs=2, channels=64, norm=norm),
            mask_features=MaskFeaturesConfig(channels=32, outputs=32, norm=norm),
        ),
        optimizer=dataclasses.replace(base.optimizer, max_gradient_norm=10.0),
    )
