"""Mask R-CNN with RoIPool in place of RoIAlign, on COCO 2017, 12 epochs.

    python train.py mask_rcnn_r50_fpn_roi_pool_1x --workdir runs/r50_roi_pool --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask import FCNMaskHeadConfig
from maskrcnn_jax.roi.pooling import RoIPoolConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def mask_rcnn_r50_fpn_roi_pool_1x() -> ExperimentConfig:
    """The other side of the paper's table 2c: boxes and cells rounded to pixels, for both heads."""
    roi = StandardRoIHeadConfig(
        pooling=RoIPoolConfig(output_size=7),
        mask=FCNMaskHeadConfig(pooling=RoIPoolConfig(output_size=14)),
    )
    model = MaskRCNNConfig(num_classes=80, roi=roi)
    return dataclasses.replace(mask_rcnn_r50_fpn_1x(), model=model)
