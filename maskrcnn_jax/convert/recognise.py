"""Which detector a set of weights belongs to, read off the names and shapes of its arrays."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

from maskrcnn_jax.backbones.resnet import BLOCKS, STAGES, ResNetConfig
from maskrcnn_jax.convert import heads, torchvision
from maskrcnn_jax.convert.mask_heads import is_point_rend, recognise_mask_head
from maskrcnn_jax.convert.standards import FOR_BACKBONES, STANDARDS, Kind
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
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.roi.semantic_targets import ObjectMasksConfig, SemanticMapsConfig
from maskrcnn_jax.solov2 import SOLOv2Config
from maskrcnn_jax.training.checkpoint import Run
from maskrcnn_jax.training.optimizer import ScheduleConfig, SGDConfig

_ManyStages = TypeVar("_ManyStages", bound=CascadeRoIHeadConfig | HTCRoIHeadConfig)


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
    if weights.naming.system not in STANDARDS["plain"]:
        raise InputError(
            f"{weights.where} ({weights.naming.system}) does not say which detector it is for; "
            "eval.py and predict.py take --preset NAME"
        )
    num_classes = heads.num_classes(weights.tensors)
    if num_classes < 1:
        raise InputError(f"{weights.where}: the class logits are missing")
    with _named_if_missing(weights):
        recognise = _solov2 if heads.is_dense(weights.tensors) else _mask_rcnn
        return recognise(weights, num_classes)


def model_around_backbone(weights: Weights, *, num_classes: int) -> MaskRCNNConfig:
    """Mask R-CNN by the defaults of this project, but with the pixels and strides that the weights
    of its backbone were made for, as far as these tell.
    """
    if weights.run is not None:
        made_for = weights.run.config.model
        return MaskRCNNConfig(
            num_classes=num_classes, pixels=made_for.pixels, backbone=made_for.backbone
        )
    with _named_if_missing(weights):
        backbone = _resnet(weights)
    if weights.naming.system not in FOR_BACKBONES:
        return MaskRCNNConfig(num_classes=num_classes, backbone=backbone)
    made_for = FOR_BACKBONES[weights.naming.system](backbone=backbone)
    backbone = dataclasses.replace(backbone, stride_in_1x1=made_for.backbone.stride_in_1x1)
    return MaskRCNNConfig(num_classes=num_classes, pixels=made_for.pixels, backbone=backbone)


@contextlib.contextmanager
def _named_if_missing(weights: Weights) -> Iterator[None]:
    """An array that is looked for and not there is told by the name that the file would have."""
    try:
        yield
    except KeyError as missing:
        name = weights.their_name(missing.args[0])
        raise InputError(f"{weights.where}: tensor {name!r} is missing") from None


def _mask_rcnn(weights: Weights, num_classes: int) -> MaskRCNNConfig:
    tensors = weights.tensors
    num_stages = max(heads.num_stages(tensors, "box"), heads.num_stages(tensors, "mask"))
    model = STANDARDS[_kind(tensors, num_stages=num_stages)][weights.naming.system](
        num_classes=num_classes, backbone=_resnet(weights)
    )
    head = heads.first_head(tensors, "box")
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
        mask=recognise_mask_head(model.roi.mask, tensors),
    )
    neck = dataclasses.replace(model.neck, channels=channels)
    return dataclasses.replace(model, neck=neck, roi=roi)


def _kind(names: Collection[str], *, num_stages: int) -> Kind:
    """Of a detector with RoIs."""
    if heads.hybrid_parts(names):
        return "hybrid"
    if num_stages:
        return "cascade"
    return "point_rend" if is_point_rend(names) else "plain"


def _solov2(weights: Weights, num_classes: int) -> SOLOv2Config:
    tensors = weights.tensors
    model = STANDARDS["solov2"][weights.naming.system](
        num_classes=num_classes, backbone=_resnet(weights)
    )
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
