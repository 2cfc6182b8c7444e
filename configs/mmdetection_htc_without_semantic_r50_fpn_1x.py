"""MMDetection's htc-without-semantic_r50_fpn_1x_coco, for its own weights.

    python train.py mmdetection_htc_without_semantic_r50_fpn_1x --workdir DIR --data.root COCO \
        --init.backbone resnet50.pth
    python eval.py --preset mmdetection_htc_without_semantic_r50_fpn_1x --init.checkpoint \
        htc_without_semantic.pth --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mmdetection_r50_fpn_1x import mmdetection_r50_fpn_1x
from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.experiment import ExperimentConfig


def mmdetection_htc_without_semantic_r50_fpn_1x() -> ExperimentConfig:
    """The plain preset with boxes and masks refined in turn."""
    model = mmdetection.htc_model(semantic=False)
    return dataclasses.replace(mmdetection_r50_fpn_1x(), model=model)
