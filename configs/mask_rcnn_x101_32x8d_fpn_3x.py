"""Mask R-CNN with ResNeXt-101-32x8d-FPN on COCO 2017, about 270,000 steps of 16 images.

    python train.py mask_rcnn_x101_32x8d_fpn_3x --workdir runs/x101_3x --data.root COCO \
        --init.backbone WEIGHTS.npz

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_3x import mask_rcnn_r50_fpn_3x
from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.experiment import ExperimentConfig


def mask_rcnn_x101_32x8d_fpn_3x() -> ExperimentConfig:
    """The R50 3x preset with a ResNeXt."""
    base = mask_rcnn_r50_fpn_3x()
    backbone = ResNetConfig(depth=101, groups=32, width_per_group=8)
    model = dataclasses.replace(base.model, backbone=backbone)
    return dataclasses.replace(base, model=model)
