"""MMDetection's point-rend_r50-caffe_fpn_ms-1x_coco, for its own weights.

    python train.py mmdetection_point_rend_r50_caffe_fpn_1x --workdir DIR --data.root COCO \
        --init.backbone resnet50_caffe.pth
    python eval.py --preset mmdetection_point_rend_r50_caffe_fpn_1x --init.checkpoint \
        point_rend_r50_caffe_fpn_mstrain_1x_coco.pth --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mmdetection_r50_fpn_1x import mmdetection_r50_fpn_1x
from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.experiment import ExperimentConfig


def mmdetection_point_rend_r50_caffe_fpn_1x() -> ExperimentConfig:
    """A Caffe backbone, another mask head, and one of six short sides, drawn for each image."""
    base = mmdetection_r50_fpn_1x()
    return dataclasses.replace(
        base,
        model=mmdetection.point_rend_model(),
        input=dataclasses.replace(base.input, short_sides=tuple(range(640, 801, 32))),
    )
