"""Which detector a set of weights belongs to, read off the names and shapes of its arrays."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

from maskrcnn_jax.backbones.resnet import BLOCKS, STAGES, ResNetConfig
from maskrcnn_jax.convert import detectron2, heads, mmdetection, torchvision
from maskrcnn_jax.convert.naming import Naming
from maskrcnn_jax.convert.point_rend import is_point_rend, recognise_point_rend
from maskrcnn_jax.convert.weights import Weights
from maskrcnn_jax.data.annotations import read_categories
from maskrcnn_jax.data.category_labels import categories_by_id
from maskrcnn_jax.data.coco_format.categories import default_categories
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.datasets import Coco2017Config
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.cascade import CascadeRoIHeadConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask import (
    AnyMaskHeadConfig,
    FCNMaskHeadConfig,
    MaskScoringConfig,
    PointRendMaskHeadConfig,
    UnwrappedMaskHeadConfig,
)
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.roi.semantic_targets import ObjectMasksConfig, SemanticMapsConfig
from maskrcnn_jax.serialization import differences, to_json
from maskrcnn_jax.solov2 import SOLOv2Config
from maskrcnn_jax.training.checkpoint import Run
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig

_MODELS = {
    detectron2.NAMING.system: detectron2.model,
    torchvision.NAMING.system: torchvision.model,
    mmdetection.NAMING.system: mmdetection.model,
}
_CASCADES = {
    detectron2.NAMING.system: detectron2.cascade_model,
    mmdetection.NAMING.system: mmdetection.cascade_model,
}
_ManyStages = TypeVar("_ManyStages", bound=CascadeRoIHeadConfig | HTCRoIHeadConfig)
_HYBRIDS = {mmdetection.NAMING.system: mmdetection.htc_model}
_SOLOV2 = {mmdetection.NAMING.system: mmdetection.solov2_model}
_POINT_RENDS = {
    detectron2.NAMING.system: detectron2.point_rend_model,
    mmdetection.NAMING.system: mmdetection.point_rend_model,
}


def recognise_run(
    weights: Weights, config: ExperimentConfig, *, categories: Path | None = None
) -> Run:
    """What a checkpoint would say of ``weights``, at the begin of a run with ``config``.

    ``categories`` is an annotation file in COCO's format that names the classes; without it they
    are those of the weights' own run, or COCO's, or get numbers.
    """
    num_classes = config.model.num_classes
    if categories is not None:
        names = read_categories(categories)
        if len(names) != num_classes == max(category.id for category in names):
            names = categories_by_id(names)
    elif weights.run is not None:
        names = weights.run.categories
    else:
        names = default_categories(num_classes)
    if len(names) != num_classes:
        raise InputError(
            f"{categories or weights.where} names {len(names)} categories, but the model has "
            f"{num_classes} classes"
        )
    return Run(config=config, categories=tuple(names), position=0)


def recognise_experiment(weights: Weights) -> ExperimentConfig:
    """The model of ``weights`` and, around it, COCO 2017 at the peers' image size."""
    if weights.run is not None:
        return weights.run.config
    by_id = weights.naming is torchvision.NAMING
    return ExperimentConfig(
        model=recognise_model(weights),
        data=Coco2017Config(labels="category_ids" if by_id else "contiguous"),
        input=InputConfig(
            batch_size=16,
            eval_batch_size=8,
            short_sides=(800,),
            eval_short_side=800,
            long_side=1333,
            padded_sizes=((800, 1344), (1344, 800)),
        ),
        optimizer=SGDConfig(schedule=ScheduleConfig(epochs=12, decay_at=(8, 11))),
    )


def recognise_model(weights: Weights) -> AnyDetectorConfig:
    """The model of ``weights``, with the semantics of the system that they come from.

    What no array shows is taken to be that system's standard: a file of a model that was trained
    with other settings (RoIAlign, say) needs a preset. Raises InputError for weights that are not
    a whole detector, or of a kind that cannot be told.
    """
    if weights.only_backbone:
        raise InputError(
            f"{weights.where} ({weights.naming.system}) holds only a backbone; train a detector "
            "from it with train.py --init.backbone"
        )
    if weights.naming.system not in _MODELS:
        raise InputError(
            f"{weights.where} ({weights.naming.system}) does not say which detector it is for; "
            "eval.py and predict.py take --preset NAME"
        )
    num_classes = heads.num_classes(weights.tensors)
    if num_classes < 1:
        raise InputError(f"{weights.where}: the class logits are missing")
    try:
        recognise = _solov2 if heads.is_dense(weights.tensors) else _mask_rcnn
        return recognise(weights, num_classes)
    except KeyError as missing:
        name = weights.their_name(missing.args[0])
        raise InputError(f"{weights.where}: tensor {name!r} is missing") from None


def _mask_rcnn(weights: Weights, num_classes: int) -> MaskRCNNConfig:
    tensors = weights.tensors
    num_stages = max(heads.num_stages(tensors, "box"), heads.num_stages(tensors, "mask"))
    plain = _POINT_RENDS if is_point_rend(tensors, _first_head(weights, "mask")) else _MODELS
    standard = _CASCADES if num_stages else plain
    if heads.hybrid_parts(tensors):
        standard = _HYBRIDS
    model = standard[weights.naming.system](num_classes=num_classes, backbone=_resnet(weights))
    head = _first_head(weights, "box")
    num_deltas = tensors[f"{head}/deltas/bias"].size
    if isinstance(model.roi, CascadeRoIHeadConfig | HTCRoIHeadConfig):
        model = dataclasses.replace(
            model, roi=_cascade(model.roi, weights, num_stages=num_stages, num_deltas=num_deltas)
        )
    if isinstance(model.roi, HTCRoIHeadConfig):
        model = dataclasses.replace(model, roi=_hybrid(model.roi, weights))
    box = dataclasses.replace(
        model.roi.box,
        hidden=tensors[f"{head}/classes/kernel"].shape[0],
        class_agnostic=num_stages > 0 or (num_classes > 1 and num_deltas == 4),
    )
    channels = tensors["neck/output2/kernel"].shape[-1]
    side = math.isqrt(tensors[f"{head}/fc1/kernel"].shape[0] // channels)
    roi = dataclasses.replace(
        model.roi,
        pooling=dataclasses.replace(model.roi.pooling, output_size=side),
        box=box,
        mask=_mask_head(model.roi.mask, weights),
    )
    neck = dataclasses.replace(model.neck, channels=channels)
    return dataclasses.replace(model, neck=neck, roi=roi)


def _solov2(weights: Weights, num_classes: int) -> SOLOv2Config:
    tensors = weights.tensors
    model = _SOLOV2[weights.naming.system](num_classes=num_classes, backbone=_resnet(weights))
    blocks = [name for name in tensors if re.fullmatch(r"head/class_block\d+/conv/kernel", name)]
    head = dataclasses.replace(
        model.head,
        num_convs=len(blocks),
        channels=tensors["head/classes/kernel"].shape[-2],
    )
    mask_features = dataclasses.replace(
        model.mask_features,
        channels=tensors["mask_features/predictor/conv/kernel"].shape[-2],
        outputs=tensors["mask_features/predictor/conv/kernel"].shape[-1],
    )
    neck = dataclasses.replace(model.neck, channels=tensors["neck/output2/kernel"].shape[-1])
    return dataclasses.replace(model, neck=neck, head=head, mask_features=mask_features)


def _cascade(
    standard: _ManyStages, weights: Weights, *, num_stages: int, num_deltas: int
) -> _ManyStages:
    """The first stages of the standard."""
    most = len(standard.stages)
    if num_stages > most or num_deltas != 4:
        raise InputError(
            f"{weights.where}: a cascade of {num_stages} stages with {num_deltas} deltas; those of "
            f"{weights.naming.system} have up to {most} stages and 4 deltas. Write a preset for it "
            "and give --preset NAME"
        )
    return dataclasses.replace(standard, refinements=standard.refinements[: num_stages - 1])


def _resnet(weights: Weights) -> ResNetConfig:
    tensors = weights.tensors
    blocks = tuple(
        len({name.split("/")[2] for name in tensors if name.startswith(f"backbone/res{stage}/")})
        for stage in STAGES
    )
    is_bottleneck = "backbone/res2/block0/conv3/kernel" in tensors
    for depth, expected in BLOCKS.items():
        if expected == blocks and (depth >= 50) == is_bottleneck:
            break
    else:
        raise InputError(f"{weights.where}: no ResNet has stages of {blocks} blocks")
    width = tensors["backbone/stem/conv/kernel"].shape[-1]
    if not is_bottleneck:
        return ResNetConfig(depth=depth, width=width)
    _, _, inputs, inner = tensors["backbone/res2/block0/conv2/kernel"].shape
    groups = inner // inputs
    return ResNetConfig(
        depth=depth, width=width, groups=groups, width_per_group=64 * inner // (width * groups)
    )


def _mask_head(standard: AnyMaskHeadConfig | None, weights: Weights) -> AnyMaskHeadConfig | None:
    found = _unwrapped_mask_head(standard, weights)
    judge = f"{_first_head(weights, 'mask')}/iou"
    if found is None or f"{judge}/predictor/kernel" not in weights.tensors:
        return found
    return MaskScoringConfig(
        head=found,
        channels=weights.tensors[f"{judge}/conv1/kernel"].shape[-1],
        hidden=weights.tensors[f"{judge}/predictor/kernel"].shape[0],
    )


def _unwrapped_mask_head(
    standard: AnyMaskHeadConfig | None, weights: Weights
) -> UnwrappedMaskHeadConfig | None:
    head = _first_head(weights, "mask")
    names = [name for name in weights.tensors if name.startswith(f"{head}/")]
    if not names or not isinstance(standard, FCNMaskHeadConfig):
        return None
    if is_point_rend(names, head):
        return recognise_point_rend(standard, weights.tensors, head)
    outputs = weights.tensors[f"{head}/predictor/kernel"].shape[-1]
    return dataclasses.replace(
        standard,
        num_convs=sum(re.fullmatch(rf"{head}/conv\d+/kernel", name) is not None for name in names),
        channels=weights.tensors[f"{head}/upsample/kernel"].shape[-1],
        class_agnostic=heads.num_classes(weights.tensors) > 1 and outputs == 1,
    )


def _hybrid(standard: HTCRoIHeadConfig, weights: Weights) -> HTCRoIHeadConfig:
    """With the semantic branch that there is."""
    if not heads.num_stages(weights.tensors, "mask"):
        raise InputError(f"{weights.where}: a Hybrid Task Cascade without its mask heads")
    outputs = heads.num_semantic_classes(weights.tensors)
    if not outputs:
        return dataclasses.replace(standard, semantic=None)
    from_masks = outputs == heads.num_classes(weights.tensors) + 1
    target = ObjectMasksConfig() if from_masks else SemanticMapsConfig(num_labels=outputs)
    convs = [n for n in weights.tensors if re.fullmatch(r"roi/semantic_head/conv\d+/kernel", n)]
    semantic = SemanticHeadConfig(target=target, num_convs=len(convs))
    return dataclasses.replace(standard, semantic=semantic)


def _first_head(weights: Weights, kind: Literal["box", "mask"]) -> str:
    """Where the head is, or that of a cascade's first stage."""
    return f"roi/{kind}_heads_0" if heads.num_stages(weights.tensors, kind) else f"roi/{kind}_head"


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
    *("roi.mask.hidden", "roi.semantic"),
    *("head.num_convs", "head.channels", "mask_features.channels", "mask_features.outputs"),
    *("roi.mask.coarse.", "roi.mask.point."),
)
# What matters to the weights of a backbone alone.
_OF_BACKBONES = ("pixels.", "backbone.stride_in_1x1")


def import_notes(weights: Weights, model: AnyDetectorConfig) -> list[str]:
    """A line for each option by which ``model`` departs from what the weights were made for."""
    made_for, options = _made_for(weights, model)
    if made_for is None:
        return []
    return [
        f"note: --model.{option} is {here}; the weights were made for {there}"
        for option, there, here in _semantic_differences(made_for, model)
        if option.startswith(options)
    ]


def export_notes(model: AnyDetectorConfig, naming: Naming) -> list[str]:
    """A line for each option by which ``model`` departs from the standard of a system."""
    if isinstance(model, SOLOv2Config):
        models = _SOLOV2
    else:
        plain = _POINT_RENDS if isinstance(model.roi.mask, PointRendMaskHeadConfig) else _MODELS
        kinds = {CascadeRoIHeadConfig: _CASCADES, HTCRoIHeadConfig: _HYBRIDS}
        models = kinds.get(type(model.roi), plain)
    if naming.system not in models:
        return []
    standard = models[naming.system](num_classes=model.num_classes, backbone=model.backbone)
    return [
        f"note: --model.{option} is {here}; {naming.system} by itself takes {there}"
        for option, there, here in _semantic_differences(standard, model)
        if not _begins(option, _SHOWN_BY_ARRAYS)
    ]


def _made_for(
    weights: Weights, model: AnyDetectorConfig
) -> tuple[AnyDetectorConfig | None, tuple[str, ...]]:
    """The model that the weights tell of, and how the options begin that they are sure of."""
    if weights.run is not None:
        return weights.run.config.model, _OF_BACKBONES if weights.only_backbone else ("",)
    if weights.naming.system in _MODELS and not weights.only_backbone:
        try:
            return recognise_model(weights), ("",)
        except InputError:  # the weights are parts of a model, or of one of the user's own
            return None, ()
    standards = {
        detectron2.CAFFE2_BACKBONE.system: detectron2.model,
        detectron2.BACKBONE.system: torchvision.model,
        torchvision.BACKBONE.system: torchvision.model,
    } | _MODELS
    if weights.naming.system not in standards:
        return None, ()
    options = _OF_BACKBONES if model.backbone.depth >= 50 else _OF_BACKBONES[:1]
    return standards[weights.naming.system](backbone=model.backbone), options


def _semantic_differences(a: AnyDetectorConfig, b: AnyDetectorConfig) -> list[tuple[str, Any, Any]]:
    a, b = _wrapped_like(a, b), _wrapped_like(b, a)
    return [
        difference
        for difference in differences(to_json(a), to_json(b))
        if not _begins(difference[0], _NOT_SEMANTIC)
    ]


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
