"""Mask R-CNN with ResNet-50-FPN on COCO 2017, 12 epochs.

    python train.py mask_rcnn_r50_fpn_1x --workdir runs/r50_1x --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import Coco2017Config
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig


def mask_rcnn_r50_fpn_1x() -> ExperimentConfig:
    """The mission's own configuration: short sides 480 to 960, long side 1333."""
    return ExperimentConfig(
        model=MaskRCNNConfig(num_classes=80),
        data=Coco2017Config(),
        input=InputConfig(
            batch_size=16,
            eval_batch_size=8,
            short_sides=tuple(range(480, 961, 32)),
            eval_short_side=800,
            long_side=1333,
            padded_sizes=((960, 1344), (1344, 960)),
            num_workers=8,
        ),
        optimizer=SGDConfig(schedule=ScheduleConfig(epochs=12, decay_at=(8, 11))),
    )
