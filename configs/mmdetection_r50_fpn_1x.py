"""MMDetection's mask-rcnn_r50_fpn_1x_coco, for its own weights.

    python train.py mmdetection_r50_fpn_1x --workdir DIR --data.root COCO \
        --init.backbone resnet50.pth
    python eval.py --preset mmdetection_r50_fpn_1x --init.checkpoint \
        mask_rcnn_r50_fpn_1x_coco.pth --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.experiment import ExperimentConfig


def mmdetection_r50_fpn_1x() -> ExperimentConfig:
    """One image size, stride in the 3x3 convolutions, weight decay on everything."""
    base = mask_rcnn_r50_fpn_1x()
    schedule = dataclasses.replace(base.optimizer.schedule, warmup_steps=500)
    return dataclasses.replace(
        base,
        model=mmdetection.model(),
        input=dataclasses.replace(
            base.input, short_sides=(800,), padded_sizes=((800, 1344), (1344, 800))
        ),
        optimizer=dataclasses.replace(
            base.optimizer, decay_norms=True, decay_biases=True, schedule=schedule
        ),
    )
