"""Mask R-CNN whose RoIs predict the kernels of their masks, on COCO 2017, 12 epochs.

    python train.py dynamic_mask_rcnn_r50_fpn_1x --workdir runs/dynamic_r50_1x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask.dynamic import DynamicMaskHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def dynamic_mask_rcnn_r50_fpn_1x() -> ExperimentConfig:
    """The Mask R-CNN preset with the dynamic mask head."""
    roi = StandardRoIHeadConfig(mask=DynamicMaskHeadConfig())
    model = MaskRCNNConfig(num_classes=80, roi=roi)
    return dataclasses.replace(mask_rcnn_r50_fpn_1x(), model=model)
