"""Detectron2's pointrend_rcnn_R_50_FPN_3x_coco, for its own weights.

    python train.py detectron2_point_rend_r50_fpn_3x --workdir DIR --data.root COCO \
        --init.backbone R-50.pkl
    python eval.py --preset detectron2_point_rend_r50_fpn_3x --init.checkpoint \
        model_final_edd263.pkl --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.detectron2_r50_fpn_3x import detectron2_r50_fpn_3x
from maskrcnn_jax.convert import detectron2
from maskrcnn_jax.experiment import ExperimentConfig


def detectron2_point_rend_r50_fpn_3x() -> ExperimentConfig:
    """The plain preset with another mask head."""
    return dataclasses.replace(detectron2_r50_fpn_3x(), model=detectron2.point_rend_model())
