"""Mask R-CNN with Soft-NMS on COCO 2017, 12 epochs; trained like `mask_rcnn_r50_fpn_1x`.

    python train.py mask_rcnn_r50_fpn_soft_nms_1x --workdir runs/r50_soft_nms --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here. What `mask_rcnn_r50_fpn_1x` has
trained fits: ``eval.py --init.checkpoint RUN --preset mask_rcnn_r50_fpn_soft_nms_1x``.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.roi.suppression import GaussianSoftNMSConfig


def mask_rcnn_r50_fpn_soft_nms_1x() -> ExperimentConfig:
    """Gaussian decay with the sigma of the paper."""
    roi = StandardRoIHeadConfig(detections=DetectionConfig(nms=GaussianSoftNMSConfig()))
    model = MaskRCNNConfig(num_classes=80, roi=roi)
    return dataclasses.replace(mask_rcnn_r50_fpn_1x(), model=model)
