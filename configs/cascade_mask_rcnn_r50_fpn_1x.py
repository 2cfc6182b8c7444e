"""Cascade Mask R-CNN with ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py cascade_mask_rcnn_r50_fpn_1x --workdir runs/cascade_r50_1x --data.root COCO \
        --init.backbone resnet50_imagenet_folded.npz

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig


def cascade_mask_rcnn_r50_fpn_1x() -> ExperimentConfig:
    """The Mask R-CNN preset with Detectron2's cascade, which trains on up to 2000 proposals."""
    base = mask_rcnn_r50_fpn_1x()
    proposals = dataclasses.replace(base.model.rpn.train_proposals, after_nms=2000)
    rpn = dataclasses.replace(base.model.rpn, train_proposals=proposals)
    model = dataclasses.replace(base.model, rpn=rpn, roi=CascadeRoIHeadConfig())
    return dataclasses.replace(base, model=model)
