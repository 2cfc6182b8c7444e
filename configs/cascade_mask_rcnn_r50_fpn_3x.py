"""Cascade Mask R-CNN with ResNet-50-FPN on COCO 2017, about 270,000 steps of 16 images.

    python train.py cascade_mask_rcnn_r50_fpn_3x --workdir runs/cascade_r50_3x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.cascade_mask_rcnn_r50_fpn_1x import cascade_mask_rcnn_r50_fpn_1x
from configs.mask_rcnn_r50_fpn_3x import mask_rcnn_r50_fpn_3x
from maskrcnn_jax.experiment import ExperimentConfig


def cascade_mask_rcnn_r50_fpn_3x() -> ExperimentConfig:
    """The 1x preset with the longer schedule of the plain model."""
    return dataclasses.replace(
        cascade_mask_rcnn_r50_fpn_1x(), optimizer=mask_rcnn_r50_fpn_3x().optimizer
    )
