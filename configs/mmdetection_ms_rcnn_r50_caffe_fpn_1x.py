"""MMDetection's ms-rcnn_r50-caffe_fpn_1x_coco, for its own weights.

    python train.py mmdetection_ms_rcnn_r50_caffe_fpn_1x --workdir DIR --data.root COCO \
        --init.backbone resnet50_caffe.pth
    python eval.py --preset mmdetection_ms_rcnn_r50_caffe_fpn_1x --init.checkpoint \
        ms_rcnn_r50_caffe_fpn_1x_coco.pth --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mmdetection_r50_fpn_1x import mmdetection_r50_fpn_1x
from maskrcnn_jax.convert import mmdetection
from maskrcnn_jax.experiment import ExperimentConfig


def mmdetection_ms_rcnn_r50_caffe_fpn_1x() -> ExperimentConfig:
    """BGR pixels of standard deviation 1, stride in the first 1x1 convolution; masks are judged."""
    model = mmdetection.mask_scoring_model(caffe=True)
    return dataclasses.replace(mmdetection_r50_fpn_1x(), model=model)
