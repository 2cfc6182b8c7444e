"""Detectron2's mask_rcnn_X_101_32x8d_FPN_3x, for its own weights.

    python train.py detectron2_x101_fpn_3x --workdir DIR --data.root COCO \
        --init.backbone X-101-32x8d.pkl
    python eval.py --preset detectron2_x101_fpn_3x --init.checkpoint model_final.pkl \
        --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.detectron2_r50_fpn_3x import detectron2_r50_fpn_3x
from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.convert import detectron2
from maskrcnn_jax.experiment import ExperimentConfig


def detectron2_x101_fpn_3x() -> ExperimentConfig:
    """The R50 preset with a ResNeXt: other pixels, and its stride in the 3x3 convolutions."""
    backbone = ResNetConfig(depth=101, groups=32, width_per_group=8)
    return dataclasses.replace(detectron2_r50_fpn_3x(), model=detectron2.model(backbone=backbone))
