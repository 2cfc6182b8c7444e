"""What a user is told where a model and weights, or a system, do not belong together in all."""

import dataclasses
from typing import Any

from maskrcnn_jax.convert.naming import Naming
from maskrcnn_jax.convert.recognise import recognise_model
from maskrcnn_jax.convert.standards import FOR_BACKBONES, STANDARDS, kind_of
from maskrcnn_jax.convert.weights import Weights
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask import MaskScoringConfig
from maskrcnn_jax.serialization import differences, to_json

# Parts of a config that only training knows, or that say what the arrays themselves show. A wrapped
# mask head is written as if it stood alone.
_NOT_SEMANTIC = (
    *("backbone.frozen_stages", "rpn.sampling", "rpn.train_proposals", "rpn.smooth_l1_beta"),
    *("rpn.divided_by", "roi.sampling", "roi.box.smooth_l1_beta", "roi.box.background_deltas"),
    *("roi.mask.targets", "roi.mask.background_mask", "roi.gradient_scale", "num_classes"),
    *("roi.mask.loss", "roi.semantic.target", "roi.semantic.loss_weight"),
    *("roi.mask.sampling", "roi.mask.subdivision.points_in_float32"),
    *("roi.masks_on_refined_boxes",),
    *("precision", "backbone.remat"),
)
_SHOWN_BY_ARRAYS = (
    *("roi.box.hidden", "roi.box.class_agnostic", "roi.pooling.output_size", "neck.channels"),
    *("roi.mask.num_convs", "roi.mask.channels", "roi.mask.class_agnostic"),
    *("roi.mask.hidden", "roi.semantic.num_convs"),
    *("head.num_convs", "head.channels", "mask_features.channels", "mask_features.outputs"),
    *("roi.mask.coarse.", "roi.mask.point."),
)
# Parts that are there or not, which the arrays show as well.
_PRESENCE = ("roi.semantic",)
# What matters to the weights of a backbone alone.
_OF_BACKBONES = ("pixels.", "backbone.stride_in_1x1")
# Sections of the config of every detector.
_OF_ALL = ("pixels", "backbone")


def import_notes(weights: Weights, model: AnyDetectorConfig) -> list[str]:
    """A line for each option by which ``model`` departs from what the weights were made for."""
    made_for, options = _made_for(weights, model)
    if made_for is None:
        return []
    return [
        f"note: --model.{option} is {here}; such weights are made for {there}"
        for option, there, here in _semantic_differences(made_for, model)
        if option.startswith(options)
    ]


def export_notes(model: AnyDetectorConfig, naming: Naming) -> list[str]:
    """A line for each option by which ``model`` departs from the standard of a system."""
    models = STANDARDS[kind_of(model)]
    if naming.system not in models:
        return []
    standard = models[naming.system](num_classes=model.num_classes, backbone=model.backbone)
    return [
        f"note: --model.{option} is {here}; {naming.system} by itself takes {there}"
        for option, there, here in _semantic_differences(standard, model)
        if not _begins(option, _SHOWN_BY_ARRAYS) and option not in _PRESENCE
    ]


def _made_for(
    weights: Weights, model: AnyDetectorConfig
) -> tuple[AnyDetectorConfig | None, tuple[str, ...]]:
    """The model that the weights tell of, and how the options begin that they are sure of."""
    if weights.run is not None:
        return weights.run.config.model, _OF_BACKBONES if weights.only_backbone else ("",)
    if weights.naming.system in STANDARDS["plain"] and not weights.only_backbone:
        try:
            return recognise_model(weights), ("",)
        except InputError:  # the weights are parts of a model, or of one of the user's own
            return None, ()
    if weights.naming.system not in FOR_BACKBONES:
        return None, ()
    options = _OF_BACKBONES if model.backbone.depth >= 50 else _OF_BACKBONES[:1]
    return FOR_BACKBONES[weights.naming.system](backbone=model.backbone), options


def _semantic_differences(a: AnyDetectorConfig, b: AnyDetectorConfig) -> list[tuple[str, Any, Any]]:
    a, b = _wrapped_like(a, b), _wrapped_like(b, a)
    one, other = to_json(a), to_json(b)
    if type(a) is not type(b):  # a backbone may come from another kind of detector
        found = [
            (f"{section}.{option}", there, here)
            for section in _OF_ALL
            for option, there, here in differences(one[section], other[section])
        ]
    else:
        found = differences(one, other)
    return [difference for difference in found if not _begins(difference[0], _NOT_SEMANTIC)]


def _wrapped_like(model: AnyDetectorConfig, other: AnyDetectorConfig) -> AnyDetectorConfig:
    """With masks that are judged if those of ``other`` are, which alone changes no box or mask."""
    if not (isinstance(model, MaskRCNNConfig) and isinstance(other, MaskRCNNConfig)):
        return model
    mask = model.roi.mask
    if mask is None or isinstance(mask, MaskScoringConfig):
        return model
    if not isinstance(other.roi.mask, MaskScoringConfig):
        return model
    roi = dataclasses.replace(model.roi, mask=MaskScoringConfig(head=mask))
    return dataclasses.replace(model, roi=roi)


def _begins(option: str, beginnings: tuple[str, ...]) -> bool:
    return option.replace("roi.mask.head.", "roi.mask.").startswith(beginnings)
