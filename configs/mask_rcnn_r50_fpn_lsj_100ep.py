"""Mask R-CNN with ResNet-50-FPN from scratch on COCO 2017 with large-scale jitter, 100 epochs.

    python train.py mask_rcnn_r50_fpn_lsj_100ep --workdir runs/r50_lsj --data.root COCO

The recipe of Detectron2's new_baselines/mask_rcnn_R_50_FPN_100ep_LSJ, after Ghiasi et al., 2021;
with --input.copy-paste.probability 1 the latter's copy-paste as well. Unlike there, the RPN has one
hidden convolution and the box head two fully connected layers, as in our other presets, and pixels
are RGB of standard deviation 1.

Hardware: written for 64 GPUs or a TPU slice of 64 chips, 1 image on each. Not yet trained to its
end by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.data.views import LargeScaleJitterConfig
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.norms import BatchNormConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig

# Detectron2 counts steps of 64 images: 184,375 in all, drops at 163,889 and 177,546, on the 117,266
# images that have objects.
_EPOCHS_PER_STEP = 64 / 117_266


def mask_rcnn_r50_fpn_lsj_100ep() -> ExperimentConfig:
    """BatchNorm over all devices in backbone, neck and mask head; nothing is frozen."""
    base, norm = mask_rcnn_r50_fpn_1x(), BatchNormConfig()
    return dataclasses.replace(
        base,
        model=MaskRCNNConfig(
            num_classes=80,
            backbone=ResNetConfig(norm=norm, frozen_stages=0),
            neck=FPNConfig(norm=norm),
            roi=StandardRoIHeadConfig(mask=FCNMaskHeadConfig(norm=norm)),
        ),
        input=dataclasses.replace(
            base.input,
            batch_size=64,
            padded_sizes=((800, 1344), (1344, 800)),  # of the evaluation
            jitter=LargeScaleJitterConfig(scales=(0.1, 2.0), size=(1024, 1024)),
        ),
        optimizer=SGDConfig(
            learning_rate=0.1,
            reference_batch_size=64,
            weight_decay=4e-5,
            decay_biases=True,
            schedule=ScheduleConfig(
                epochs=184_375 * _EPOCHS_PER_STEP,
                decay_at=(163_889 * _EPOCHS_PER_STEP, 177_546 * _EPOCHS_PER_STEP),
                warmup_steps=500,
                warmup_start=0.067,
            ),
        ),
    )
