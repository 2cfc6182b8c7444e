"""Mask R-CNN with ResNet-50-FPN on LVIS v1: 1203 classes, images with rare ones shown more often.

    python train.py mask_rcnn_r50_fpn_lvis_1x --workdir runs/lvis --data.root COCO \
        --init.backbone resnet50-0676ba61.pth

COCO holds train2017/, val2017/ and annotations/lvis_v1_train.json, lvis_v1_val.json. The recipe of
Detectron2's LVISv1-InstanceSegmentation/mask_rcnn_R_50_FPN_1x, but for its length: that counts
180,000 steps, and this, as MMDetection's mask_rcnn_r50_fpn_sample1e-3_mstrain_1x_lvis_v1, 12 passes
over the images with their repetitions.

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. The mask logits of all
classes are 0.5 GB of float32 for the 128 positive RoIs of an image in training, and 1.1 GB for its
300 detections. Not trained by this project, so no time and no result are given here.
"""

import dataclasses
from pathlib import Path

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.data.datasets import CocoFormatConfig
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def mask_rcnn_r50_fpn_lvis_1x() -> ExperimentConfig:
    """300 detections of any likelihood, of which LVIS's evaluation takes all."""
    base = mask_rcnn_r50_fpn_1x()
    detections = DetectionConfig(score_threshold=1e-4, max_detections=300)
    return dataclasses.replace(
        base,
        model=MaskRCNNConfig(num_classes=1203, roi=StandardRoIHeadConfig(detections=detections)),
        data=CocoFormatConfig(
            root=Path("COCO"), train_split="lvis_v1_train", eval_split="lvis_v1_val"
        ),
        input=dataclasses.replace(
            base.input,
            short_sides=tuple(range(640, 801, 32)),
            padded_sizes=((800, 1344), (1344, 800)),
            repeat_threshold=0.001,
        ),
    )
