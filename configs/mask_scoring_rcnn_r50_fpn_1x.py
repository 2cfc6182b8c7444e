"""Mask Scoring R-CNN with ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py mask_scoring_rcnn_r50_fpn_1x --workdir runs/scoring_r50_1x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask.scoring import MaskScoringConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def mask_scoring_rcnn_r50_fpn_1x() -> ExperimentConfig:
    """The Mask R-CNN preset with a second head that judges the masks of the first."""
    roi = StandardRoIHeadConfig(mask=MaskScoringConfig())
    model = MaskRCNNConfig(num_classes=80, roi=roi)
    return dataclasses.replace(mask_rcnn_r50_fpn_1x(), model=model)
