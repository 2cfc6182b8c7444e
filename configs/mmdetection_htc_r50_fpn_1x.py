"""MMDetection's htc_r50_fpn_1x_coco, for its own weights.

    python train.py mmdetection_htc_r50_fpn_1x --workdir DIR --data.root COCO \
        --init.backbone resnet50.pth
    python eval.py --preset mmdetection_htc_r50_fpn_1x --init.checkpoint \
        htc_r50_fpn_1x_coco.pth --data.root COCO

Training reads the semantic maps of COCO-Stuff, COCO/stuffthingmaps/train2017/*.png. Hardware:
written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end by this
project, so no time and no result are given here.
"""

import dataclasses

from configs.mmdetection_r50_fpn_1x import mmdetection_r50_fpn_1x
from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.experiment import ExperimentConfig


def mmdetection_htc_r50_fpn_1x() -> ExperimentConfig:
    """The plain preset with boxes and masks refined in turn, and a semantic branch."""
    base = mmdetection_r50_fpn_1x()
    return dataclasses.replace(
        base,
        model=mmdetection.htc_model(),
        input=dataclasses.replace(base.input, semantic_labels=183),
    )
