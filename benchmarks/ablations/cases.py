"""What is compared: a small detector on the procedural shapes, in which one part is exchanged.

The pairs are those of the Mask R-CNN paper's ablations, and every extension against the plain
model.
"""

import dataclasses
from typing import Any, NamedTuple

from configs.shapes import shapes
from configs.shapes_solov2 import shapes_solov2
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask import (
    BoundaryMaskHeadConfig,
    DynamicMaskHeadConfig,
    MaskScoringConfig,
    PointRendMaskHeadConfig,
)
from maskrcnn_jax.roi.mask.pixel_losses import GeneralisedCrossEntropyConfig, SoftMaskLossConfig
from maskrcnn_jax.roi.mask.point_heads import CoarseHeadConfig, PointHeadConfig
from maskrcnn_jax.roi.pooling import RoIPoolConfig
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.roi.suppression import GaussianSoftNMSConfig

PLAIN = "plain"


class Case(NamedTuple):
    """``what`` says how it departs from the plain model."""

    what: str
    config: ExperimentConfig


def cases() -> dict[str, Case]:
    """By name, the plain model first."""
    plain = _plain()
    box, mask, pooling = plain.box, plain.mask, plain.pooling

    def fcn(**changes: Any) -> StandardRoIHeadConfig:
        return dataclasses.replace(plain, mask=dataclasses.replace(mask, **changes))

    def head(other: Any) -> StandardRoIHeadConfig:
        return dataclasses.replace(plain, mask=other)

    one_box = dataclasses.replace(box, class_agnostic=True)
    shared = {"sampling": plain.sampling, "pooling": pooling, "detections": plain.detections}
    pooled = dataclasses.replace(mask, pooling=RoIPoolConfig(output_size=14))
    soft_nms = dataclasses.replace(plain.detections, nms=GaussianSoftNMSConfig())
    parts = {
        PLAIN: ("RoIAlign, masks of 28, 4 convolutions, a mask for each class", plain),
        "roi_pool": (
            "RoIPool for boxes and masks",
            dataclasses.replace(plain, pooling=RoIPoolConfig(output_size=7), mask=pooled),
        ),
        "mask_14": ("masks of 14", fcn(num_upsamples=0)),
        "mask_56": ("masks of 56", fcn(num_upsamples=2)),
        "convs_2": ("2 convolutions", fcn(num_convs=2)),
        "convs_8": ("8 convolutions", fcn(num_convs=8)),
        "class_agnostic": ("one mask for all classes", fcn(class_agnostic=True)),
        "no_mask": ("no mask branch", head(None)),
        "gce": ("generalised cross entropy, q .7", fcn(loss=GeneralisedCrossEntropyConfig())),
        "soft_mask": ("soft mask loss, width 2", fcn(loss=SoftMaskLossConfig())),
        "soft_nms": ("Gaussian Soft-NMS", dataclasses.replace(plain, detections=soft_nms)),
        "boundary": ("boundary branch", head(BoundaryMaskHeadConfig(fcn=mask))),
        "scoring": ("judged masks", head(MaskScoringConfig(head=mask, channels=64, hidden=128))),
        "dynamic": ("dynamic masks", head(DynamicMaskHeadConfig(num_convs=2, channels=64))),
        "point_rend": (
            "PointRend",
            head(
                PointRendMaskHeadConfig(
                    coarse=CoarseHeadConfig(channels=64, hidden=128),
                    point=PointHeadConfig(channels=64),
                )
            ),
        ),
        "cascade": (
            "Cascade R-CNN, Detectron2's",
            CascadeRoIHeadConfig(
                box=one_box,
                mask=mask,
                **shared,
            ),
        ),
        "htc": (
            "Hybrid Task Cascade with a semantic branch",
            HTCRoIHeadConfig(
                box=one_box, mask=mask, semantic=SemanticHeadConfig(num_convs=2), **shared
            ),
        ),
    }
    found = {name: Case(what, _experiment(roi)) for name, (what, roi) in parts.items()}
    return found | {"solov2": Case("SOLOv2, without boxes", shapes_solov2())}


def _plain() -> Any:
    """The head of the preset ``shapes`` with as many convolutions as the paper has."""
    model: Any = shapes().model
    roi = model.roi
    return dataclasses.replace(roi, mask=dataclasses.replace(roi.mask, num_convs=4))


def _experiment(roi: Any) -> ExperimentConfig:
    base = shapes()
    model: Any = base.model
    return dataclasses.replace(base, model=dataclasses.replace(model, roi=roi))
