"""Hybrid Task Cascade with ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py htc_r50_fpn_1x --workdir runs/htc_r50_1x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

The semantic branch learns from the masks of the objects; no stuff maps are needed. Hardware:
written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end by this
project, so no time and no result are given here.
"""

import dataclasses

from configs.cascade_mask_rcnn_r50_fpn_1x import cascade_mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig


def htc_r50_fpn_1x() -> ExperimentConfig:
    """The cascade's preset with boxes and masks refined in turn, and a semantic branch."""
    base = cascade_mask_rcnn_r50_fpn_1x()
    return dataclasses.replace(base, model=dataclasses.replace(base.model, roi=HTCRoIHeadConfig()))
