"""SOLOv2 with ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py solov2_r50_fpn_1x --workdir runs/solov2 --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.solov2 import SOLOv2Config


def solov2_r50_fpn_1x() -> ExperimentConfig:
    """Half the learning rate of Mask R-CNN, and gradients no longer than 35."""
    base = mask_rcnn_r50_fpn_1x()
    return dataclasses.replace(
        base,
        model=SOLOv2Config(num_classes=80),
        optimizer=dataclasses.replace(base.optimizer, learning_rate=0.01, max_gradient_norm=35.0),
    )
