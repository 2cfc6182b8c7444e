"""Detectron2's mask_rcnn_R_50_FPN_noaug_1x (as Detectron1), for its own weights.

    python train.py detectron2_r50_fpn_noaug_1x --workdir DIR --data.root COCO \
        --init.backbone R-50.pkl
    python eval.py --preset detectron2_r50_fpn_noaug_1x --init.checkpoint model_final.pkl \
        --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.detectron2_r50_fpn_3x import detectron2_r50_fpn_3x
from configs.mask_rcnn_r50_fpn_1x import mask_rcnn_r50_fpn_1x
from maskrcnn_jax.convert import detectron2
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.roi.box_head import BoxHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig


def detectron2_r50_fpn_noaug_1x() -> ExperimentConfig:
    """RoIAlign with two samples and without the half-pixel shift; smooth L1; one image size."""
    base, model = detectron2_r50_fpn_3x(), detectron2.model()
    pooling = {"samples_per_cell": 2, "half_pixel": False}
    roi = StandardRoIHeadConfig(
        pooling=RoIAlignConfig(output_size=7, **pooling),
        box=BoxHeadConfig(smooth_l1_beta=1.0),
        mask=FCNMaskHeadConfig(pooling=RoIAlignConfig(output_size=14, **pooling)),
    )
    rpn = dataclasses.replace(model.rpn, smooth_l1_beta=1 / 9)
    return dataclasses.replace(
        base,
        model=dataclasses.replace(model, rpn=rpn, roi=roi),
        input=dataclasses.replace(base.input, short_sides=(800,)),
        optimizer=dataclasses.replace(mask_rcnn_r50_fpn_1x().optimizer, decay_biases=True),
    )
