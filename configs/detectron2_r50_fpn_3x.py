"""Detectron2's mask_rcnn_R_50_FPN_3x, for its own weights.

    python train.py detectron2_r50_fpn_3x --workdir DIR --data.root COCO \
        --init.backbone R-50.pkl
    python eval.py --preset detectron2_r50_fpn_3x --init.checkpoint model_final_f10217.pkl \
        --data.root COCO

Hardware: written for 8 GPUs or a TPU slice of 8 chips, 2 images on each. Not yet trained to its end
by this project, so no time and no result are given here.
"""

import dataclasses

from configs.mask_rcnn_r50_fpn_3x import mask_rcnn_r50_fpn_3x
from maskrcnn_jax.convert import detectron2
from maskrcnn_jax.experiment import ExperimentConfig


def detectron2_r50_fpn_3x() -> ExperimentConfig:
    """BGR pixels of standard deviation 1; short sides 640 to 800, one of which is drawn."""
    base = mask_rcnn_r50_fpn_3x()
    return dataclasses.replace(
        base,
        model=detectron2.model(),
        input=dataclasses.replace(
            base.input,
            short_sides=tuple(range(640, 801, 32)),
            padded_sizes=((800, 1344), (1344, 800)),
        ),
        optimizer=dataclasses.replace(base.optimizer, decay_biases=True),
    )
