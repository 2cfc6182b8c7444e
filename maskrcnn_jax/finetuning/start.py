"""Where a training on own data starts: a model for the data's classes, and what weights give it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.recognise import (
    model_around_backbone,
    recognise_experiment,
    recognise_run,
)
from maskrcnn_jax.convert.standards import Kind, kind_of
from maskrcnn_jax.convert.weights import Weights, read_weights
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig, semantic_labels

_NAMES: dict[Kind, str] = {
    "plain": "Mask R-CNN",
    "point_rend": "PointRend",
    "cascade": "Cascade Mask R-CNN",
    "hybrid": "Hybrid Task Cascade",
    "solov2": "SOLOv2",
}


@dataclass(frozen=True, kw_only=True)
class Start:
    """A model for the data's classes.

    ``num_classes_before`` are the classes that the weights were trained for, 0 for a backbone
    alone. ``has_new_classes`` says that they are not the data's: as many may still be others.
    ``run`` is the config of the weights' own run, where it was one of train.py.
    """

    where: str
    model: AnyDetectorConfig
    num_classes_before: int = 0
    has_new_classes: bool = False
    run: ExperimentConfig | None = None

    @property
    def is_backbone(self) -> bool:
        return self.num_classes_before == 0

    def describe(self) -> str:
        """One line for the user."""
        backbone = self.model.backbone
        kind = "ResNet" if backbone.groups == 1 else "ResNeXt"
        masks = "" if self.model.has_masks else " without masks, for the weights have none"
        return f"{_NAMES[kind_of(self.model)]}{masks}, {kind}-{backbone.depth}: {self._origin()}"

    def reasons(self) -> dict[str, str]:
        """Of each option, why it is as it is."""
        frozen = ", ".join(self.model.backbone.frozen_modules()) or "nothing"
        reasons = {"model.backbone.frozen_stages": f"not trained: {frozen}"}
        if self.has_new_classes:
            reasons["init.new_classes"] = f"the weights have {self.num_classes_before} others"
        if semantic_labels(self.model) is not None:
            reasons["input.semantic_labels"] = "the weights have a branch for semantic maps"
        return reasons

    def _origin(self) -> str:
        if self.is_backbone:
            return "the backbone from the weights, neck and heads from random numbers"
        if self.has_new_classes:
            return "all from the weights but the layers with outputs for each class"
        return "all from the weights, whose classes are those of the data"


def start_from(init: InitConfig, categories: Sequence[Category]) -> Start:
    """Reads the weights. Raises ``InputError`` where none are given, or they cannot be told."""
    path = init.backbone or init.checkpoint
    if path is None:
        raise InputError(
            "give weights to start from with --init.checkpoint FILE: a detector of Detectron2, "
            "torchvision, MMDetection or this program, or an ImageNet backbone. From random "
            "numbers a detector learns nothing from small data"
        )
    weights = read_weights(path)
    if init.backbone is not None or weights.only_backbone:
        model = model_around_backbone(weights.backbone_alone(), num_classes=len(categories))
        return Start(where=weights.where, model=model)
    return _whole_detector(weights, categories)


def _whole_detector(weights: Weights, categories: Sequence[Category]) -> Start:
    before = recognise_experiment(weights)
    names = [category.name for category in recognise_run(weights, before).categories]
    return Start(
        where=weights.where,
        model=dataclasses.replace(before.model, num_classes=len(categories)),
        num_classes_before=before.model.num_classes,
        has_new_classes=names != [category.name for category in categories],
        run=before if weights.run is not None else None,
    )
