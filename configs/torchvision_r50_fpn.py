"""torchvision's maskrcnn_resnet50_fpn, for its own weights.

    python train.py torchvision_r50_fpn --workdir DIR --data.root COCO \
        --init.backbone resnet50.pth --model.backbone.norm.epsilon 1e-5
    python eval.py --preset torchvision_r50_fpn --init.checkpoint \
        maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.convert import torchvision
from maskrcnn_jax.data.datasets import Coco2017Config
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig


def torchvision_r50_fpn() -> ExperimentConfig:
    """Labels are COCO's category ids less one; torchvision's own schedule of 26 epochs."""
    base = mask_rcnn_r50_fpn_1x()
    return dataclasses.replace(
        base,
        model=torchvision.model(),
        data=Coco2017Config(labels="category_ids"),
        input=dataclasses.replace(
            base.input, short_sides=(800,), padded_sizes=((800, 1344), (1344, 800))
        ),
        optimizer=SGDConfig(
            decay_norms=True,
            decay_biases=True,
            schedule=ScheduleConfig(epochs=26, decay_at=(16, 22)),
        ),
    )
