"""Mask R-CNN with ResNet-50-FPN on COCO 2017, about 270,000 steps of 16 images (Detectron2's 3x).

    python train.py mask_rcnn_r50_fpn_3x --workdir runs/r50_3x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.training.optimizer import ScheduleConfig

# Detectron2 counts steps: 270,000 in all, drops at 210,000 and 250,000, on the 117,266 images that
# have objects.
_EPOCHS_PER_STEP = 16 / 117_266


def mask_rcnn_r50_fpn_3x() -> ExperimentConfig:
    """The 1x preset with a longer schedule."""
    base = mask_rcnn_r50_fpn_1x()
    schedule = ScheduleConfig(
        epochs=270_000 * _EPOCHS_PER_STEP,
        decay_at=(210_000 * _EPOCHS_PER_STEP, 250_000 * _EPOCHS_PER_STEP),
    )
    return dataclasses.replace(
        base, optimizer=dataclasses.replace(base.optimizer, schedule=schedule)
    )
