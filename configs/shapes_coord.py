"""The small detector of ``shapes`` with a mask head that is not of the package.

    python train.py shapes_coord --workdir runs/shapes_coord

Hardware: a laptop. An example (docs/new_mask_head.md); not yet trained to its end by this project,
so no time and no result are given here.
"""

import dataclasses
from typing import Any

from configs.shapes import shapes
from examples.coord_mask_head import CoordMaskHeadConfig
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.norms import GroupNormConfig


def shapes_coord() -> ExperimentConfig:
    """One line differs from ``shapes``: the mask head."""
    base = shapes()
    model: Any = base.model
    mask = CoordMaskHeadConfig(
        pooling=model.roi.mask.pooling, num_convs=2, channels=64, norm=GroupNormConfig(groups=8)
    )
    roi = dataclasses.replace(model.roi, mask=mask)
    return dataclasses.replace(base, model=dataclasses.replace(model, roi=roi))
