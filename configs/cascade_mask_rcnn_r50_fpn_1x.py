"""Cascade Mask R-CNN with ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py cascade_mask_rcnn_r50_fpn_1x --workdir runs/cascade_r50_1x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.rpn import RPNConfig


def cascade_mask_rcnn_r50_fpn_1x() -> ExperimentConfig:
    """The Mask R-CNN preset with Detectron2's cascade, which trains on up to 2000 proposals."""
    rpn = RPNConfig(train_proposals=ProposalConfig(before_nms=2000, after_nms=2000))
    model = MaskRCNNConfig(num_classes=80, rpn=rpn, roi=CascadeRoIHeadConfig())
    return dataclasses.replace(mask_rcnn_r50_fpn_1x(), model=model)
