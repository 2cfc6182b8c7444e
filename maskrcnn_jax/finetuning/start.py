"""Where a training on own data starts: a model for the data's classes, and what weights give it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.training.checkpoint import Checkpoints

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
    alone and where a run goes on. ``run`` is the config of the weights' own run, where it was one
    of train.py. ``init`` is what the user said of the weights, and how they fit the model;
    ``origin`` says it in words.
    """

    where: str
    model: AnyDetectorConfig
    init: InitConfig
    origin: str
    num_classes_before: int = 0
    run: ExperimentConfig | None = None
    semantic_arrays: tuple[str, ...] = ()  # patterns, of the branch for semantic maps

    @property
    def has_new_classes(self) -> bool:
        """Whether the weights are for other classes than the data's, if for as many."""
        return self.init.new_classes

    @property
    def is_backbone(self) -> bool:
        return self.num_classes_before == 0

    def describe(self) -> str:
        """One line for the user."""
        backbone = self.model.backbone
        kind = "ResNet" if backbone.groups == 1 else "ResNeXt"
        masks = "" if self.model.has_masks else " without masks, for the weights have none"
        return f"{_NAMES[kind_of(self.model)]}{masks}, {kind}-{backbone.depth}: {self.origin}"

    def reasons(self) -> dict[str, str]:
        """Of each option, why it is as it is."""
        frozen = ", ".join(self.model.backbone.frozen_modules()) or "nothing"
        reasons = {"model.backbone.frozen_stages": f"not trained: {frozen}"}
        if self.is_backbone and self.model.backbone.depth >= 50:
            reasons["model.backbone.stride_in_1x1"] = "where such weights have it"
        if self.has_new_classes and self.num_classes_before:
            reasons["init.new_classes"] = f"the weights have {self.num_classes_before} others"
        if semantic_labels(self.model) is not None:
            reasons["input.semantic_labels"] = "the weights have a branch for semantic maps"
        if self.init.allow_unused:
            reasons["init.allow_unused"] = "not loaded: the data have no semantic maps to train it"
        return reasons


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
        return Start(
            where=weights.where,
            model=model_around_backbone(weights.backbone_alone(), num_classes=len(categories)),
            init=replace(init, new_classes=False),
            origin="the backbone from the weights, neck and heads from random numbers",
        )
    return _whole_detector(weights, init, categories)


def go_on_from(workdir: Path) -> Start:
    """Where a run has a checkpoint its weights are not asked for again: they may be gone."""
    with Checkpoints(workdir) as checkpoints:
        config = checkpoints.restore_run().config
    return Start(
        where=str(workdir),
        model=config.model,
        init=config.init,
        origin="all from the newest checkpoint of this run",
        run=config,
    )


def without_semantic_maps(start: Start) -> Start:
    """For data that have none: without the branch that is trained on them, if there is one."""
    model = start.model
    roi = model.roi if isinstance(model, MaskRCNNConfig) else None
    if not isinstance(roi, HTCRoIHeadConfig) or semantic_labels(model) is None:
        return start
    unused = (*start.init.allow_unused, *start.semantic_arrays)
    return replace(
        start,
        model=replace(model, roi=replace(roi, semantic=None)),
        init=replace(start.init, allow_unused=unused),
        origin=f"{start.origin}, without the branch for semantic maps, which the data have not",
    )


def _whole_detector(weights: Weights, init: InitConfig, categories: Sequence[Category]) -> Start:
    before = recognise_experiment(weights)
    names = [category.name for category in recognise_run(weights, before).categories]
    has_new_classes = names != [category.name for category in categories]
    origin = "all from the weights, whose classes are those of the data"
    if has_new_classes:
        origin = "all from the weights but the layers with outputs for each class"
    return Start(
        where=weights.where,
        model=replace(before.model, num_classes=len(categories)),
        init=replace(init, new_classes=has_new_classes),
        origin=origin,
        num_classes_before=before.model.num_classes,
        run=before if weights.run is not None else None,
        semantic_arrays=_semantic_arrays(weights),
    )


def _semantic_arrays(weights: Weights) -> tuple[str, ...]:
    """Their names as ``InitConfig`` takes them: all systems that have the branch call it so."""
    head = "semantic_head"
    names = [weights.their_name(x) for x in weights.tensors if x.startswith(f"roi/{head}/")]
    return tuple({f"{name.partition(head)[0]}{head}*" for name in names})
