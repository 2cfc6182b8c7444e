"""Mask R-CNN with ResNet-50-FPN and GroupNorm from scratch on COCO 2017, about 270,000 steps.

    python train.py mask_rcnn_r50_fpn_gn_scratch_3x --workdir runs/r50_gn --data.root COCO

No ImageNet weights are needed (He et al., 2019, "Rethinking ImageNet Pre-training"; Detectron2's
Misc/scratch_mask_rcnn_R_50_FPN_3x_gn, whose box head has four convolutions and one fully connected
layer where ours has two of the latter). GroupNorm does not look at other images, so that the number
of images on each device does not matter.

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_3x import mask_rcnn_r50_fpn_3x
from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.norms import GroupNormConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def mask_rcnn_r50_fpn_gn_scratch_3x() -> ExperimentConfig:
    """GroupNorm in backbone, neck and mask head; nothing is frozen."""
    norm = GroupNormConfig()
    return dataclasses.replace(
        mask_rcnn_r50_fpn_3x(),
        model=MaskRCNNConfig(
            num_classes=80,
            backbone=ResNetConfig(norm=norm, frozen_stages=0),
            neck=FPNConfig(norm=norm),
            roi=StandardRoIHeadConfig(mask=FCNMaskHeadConfig(norm=norm)),
        ),
    )
