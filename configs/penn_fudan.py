"""Pedestrians of Penn-Fudan, 120 training images, from an ImageNet backbone.

    python train.py penn_fudan --workdir runs/penn_fudan --data.root PENN_FUDAN \
        --init.backbone resnet50_imagenet_folded.npz

Hardware: a laptop; on 2 cores of an AMD EPYC 2.2 s a step, 22 minutes. Expected on the 50
validation images: box AP .56, mask AP .45, mask AP50 .84 (one run, 2026-11-22; see
docs/results.md).
"""

from pathlib import Path

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import CocoFormatConfig
from maskrcnn_jax.experiment import ExperimentConfig, RunConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.sampling import RoISamplingConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig


def penn_fudan() -> ExperimentConfig:
    """Small images and batches, 600 steps. The stride is where the weights named above have it."""
    return ExperimentConfig(
        model=MaskRCNNConfig(
            num_classes=1,
            backbone=ResNetConfig(stride_in_1x1=True),
            roi=StandardRoIHeadConfig(sampling=RoISamplingConfig(num_samples=128)),
        ),
        data=CocoFormatConfig(root=Path("PENN_FUDAN"), train_split="train", eval_split="val"),
        input=InputConfig(
            batch_size=2,
            eval_batch_size=2,
            short_sides=(256,),
            eval_short_side=256,
            long_side=448,
            padded_sizes=((256, 448), (448, 256)),
        ),
        optimizer=SGDConfig(
            learning_rate=0.005,
            reference_batch_size=2,
            schedule=ScheduleConfig(epochs=10, decay_at=(7.5,), warmup_steps=100),
        ),
        run=RunConfig(checkpoint_every=100),
    )
