"""MMDetection's solov2_r50_fpn_1x_coco, for its own weights.

    python train.py mmdetection_solov2_r50_fpn_1x --workdir DIR --data.root COCO \
        --init.backbone resnet50.pth
    python eval.py --preset mmdetection_solov2_r50_fpn_1x --init.checkpoint \
        solov2_r50_fpn_1x_coco.pth --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mmdetection_r50_fpn_1x import mmdetection_r50_fpn_1x
from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.experiment import ExperimentConfig


def mmdetection_solov2_r50_fpn_1x() -> ExperimentConfig:
    """Half the learning rate of Mask R-CNN, and gradients no longer than 35."""
    base = mmdetection_r50_fpn_1x()
    return dataclasses.replace(
        base,
        model=mmdetection.solov2_model(),
        optimizer=dataclasses.replace(base.optimizer, learning_rate=0.01, max_gradient_norm=35.0),
    )
