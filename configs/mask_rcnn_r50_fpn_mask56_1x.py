"""Mask R-CNN with masks of 56x56 in place of 28x28, ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py mask_rcnn_r50_fpn_mask56_1x --workdir runs/mask56_1x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask import FCNMaskHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def mask_rcnn_r50_fpn_mask56_1x() -> ExperimentConfig:
    """The Mask R-CNN preset with two upsampling steps: 14, 28, 56."""
    roi = StandardRoIHeadConfig(mask=FCNMaskHeadConfig(num_upsamples=2))
    model = MaskRCNNConfig(num_classes=80, roi=roi)
    return dataclasses.replace(mask_rcnn_r50_fpn_1x(), model=model)
