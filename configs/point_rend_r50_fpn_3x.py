"""PointRend with ResNet-50-FPN on COCO 2017, about 270,000 steps of 16 images.

    python train.py point_rend_r50_fpn_3x --workdir runs/point_rend_r50_3x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_3x import mask_rcnn_r50_fpn_3x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.roi.mask.point_rend import PointRendMaskHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def point_rend_r50_fpn_3x() -> ExperimentConfig:
    """The Mask R-CNN preset with Detectron2's PointRend, trained on boxes of the box head."""
    base = mask_rcnn_r50_fpn_3x()
    roi = StandardRoIHeadConfig(mask=PointRendMaskHeadConfig(), masks_on_refined_boxes=True)
    return dataclasses.replace(base, model=dataclasses.replace(base.model, roi=roi))
