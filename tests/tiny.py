"""A Mask R-CNN small enough to compile in seconds, and random batches for it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.backbones.resnet import ResNetConfig
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.necks.fpn import FPNConfig
from maskrcnn_jax.norms import BatchNormConfig, FrozenBatchNormConfig
from maskrcnn_jax.roi.box_head import BoxHeadConfig
from maskrcnn_jax.roi.detections import DetectionConfig
from maskrcnn_jax.roi.htc import HTCRoIHeadConfig
from maskrcnn_jax.roi.mask.fcn import FCNMaskHeadConfig
from maskrcnn_jax.roi.mask.point_heads import CoarseHeadConfig, PointHeadConfig
from maskrcnn_jax.roi.mask.point_rend import (
    PointRendMaskHeadConfig,
    PointSamplingConfig,
    SubdivisionConfig,
)
from maskrcnn_jax.roi.pooling import RoIAlignConfig
from maskrcnn_jax.roi.sampling import RoISamplingConfig
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.roi.standard import StandardRoIHeadConfig
from maskrcnn_jax.rpn.anchors import AnchorConfig
from maskrcnn_jax.rpn.proposals import ProposalConfig
from maskrcnn_jax.rpn.rpn import RPNConfig
from maskrcnn_jax.rpn.targets import AnchorSamplingConfig
from maskrcnn_jax.structures import Batch, Detections, GroundTruth
from maskrcnn_jax.training.state import initial_variables

HEIGHT, WIDTH = 64, 96
NUM_CLASSES = 3
NUM_SLOTS = 5
MASK_SIZE = 28
_EVERYTHING = 4096  # more than there are anchors or proposals


def tiny_config(
    *, samples_everything: bool = False, axis_name: str | None = None
) -> MaskRCNNConfig:
    """ResNet-18 of width 8, 16 channels everywhere else, 24 proposals.

    ``axis_name`` is where the mask head's BatchNorm shares its statistics.
    """
    proposals = ProposalConfig(before_nms=64, after_nms=24)
    anchors, rois = AnchorSamplingConfig(num_samples=64), RoISamplingConfig(num_samples=24)
    if samples_everything:
        whole = {"num_samples": _EVERYTHING, "positive_fraction": 1.0}
        anchors, rois = AnchorSamplingConfig(**whole), RoISamplingConfig(**whole)
    return MaskRCNNConfig(
        num_classes=NUM_CLASSES,
        backbone=ResNetConfig(depth=18, width=8, norm=FrozenBatchNormConfig(), frozen_stages=2),
        neck=FPNConfig(channels=16),
        rpn=RPNConfig(
            anchors=AnchorConfig(scales=(4.0,)),
            sampling=anchors,
            train_proposals=proposals,
            test_proposals=proposals,
        ),
        roi=StandardRoIHeadConfig(
            sampling=rois,
            pooling=RoIAlignConfig(output_size=7, samples_per_cell=2),
            box=BoxHeadConfig(hidden=32),
            mask=FCNMaskHeadConfig(
                pooling=RoIAlignConfig(output_size=14, samples_per_cell=1),
                num_convs=1,
                channels=16,
                norm=BatchNormConfig(axis_name=axis_name),
            ),
            detections=DetectionConfig(score_threshold=0.01, max_detections=10),
        ),
    )


def without_masks(config: MaskRCNNConfig) -> MaskRCNNConfig:
    return dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=None))


def as_cascade(config: MaskRCNNConfig, peer: ModuleType) -> MaskRCNNConfig:
    """The same parts in the three stages of ``convert.detectron2`` or ``convert.mmdetection``."""
    roi = peer.cascade_model().roi
    names = ("sampling", "pooling", "mask", "detections")
    roi = dataclasses.replace(
        roi,
        **{name: getattr(config.roi, name) for name in names},
        box=dataclasses.replace(roi.box, hidden=config.roi.box.hidden),
    )
    return dataclasses.replace(config, roi=roi)


def as_htc(config: MaskRCNNConfig) -> MaskRCNNConfig:
    """The same parts in Hybrid Task Cascade."""
    names = ("sampling", "pooling", "mask", "detections")
    roi = HTCRoIHeadConfig(
        **{name: getattr(config.roi, name) for name in names},
        box=BoxHeadConfig(class_agnostic=True, smooth_l1_beta=1.0, hidden=config.roi.box.hidden),
        semantic=SemanticHeadConfig(num_convs=1),
    )
    return dataclasses.replace(config, roi=roi)


def point_rend() -> PointRendMaskHeadConfig:
    """PointRend from 3x3 over a whole grid of 6x6 to masks of 12x12."""
    return PointRendMaskHeadConfig(
        coarse=CoarseHeadConfig(side=3, channels=8, hidden=16),
        point=PointHeadConfig(num_layers=2, channels=8),
        sampling=PointSamplingConfig(num_points=12),
        subdivision=SubdivisionConfig(steps=2, num_points=40),
    )


def variables_like(init: Callable[..., Any], *args, seed: int = 0) -> Any:
    """Random variables as ``init(*args)`` would create them, without compiling that."""
    rng = np.random.default_rng(seed)
    constants = {"bias": 0.0, "mean": 0.0, "scale": 1.0, "var": 1.0}

    def fill(path, leaf):
        if path[-1].key in constants:
            return jnp.full(leaf.shape, constants[path[-1].key], leaf.dtype)
        fan_in = np.prod(leaf.shape[:-1])
        return jnp.asarray(rng.normal(size=leaf.shape) / np.sqrt(fan_in), leaf.dtype)

    return jax.tree.map_with_path(fill, jax.eval_shape(init, *args))


@functools.cache
def tiny_variables() -> dict[str, Any]:
    """The same for any amount of sampling and any number of devices."""
    return variables_like(functools.partial(initial_variables, tiny_config().build(), seed=0))


@jax.jit
def predict(batch: Batch) -> Detections:
    """What the tiny detector finds: one program for all tests."""
    found: Any = tiny_config().build().apply(tiny_variables(), batch, method="predict")
    return found


def random_truth(
    rng: np.random.Generator,
    num_objects: int,
    *,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    num_slots: int = NUM_SLOTS,
) -> GroundTruth:
    """Ellipses inside random boxes of one image, and zeros in the slots that are left."""
    boxes = random_boxes(rng, num_objects, size=size)
    y, x = (np.mgrid[:MASK_SIZE, :MASK_SIZE] + 0.5) / MASK_SIZE * 2 - 1
    ellipse = x**2 + y**2 < 1

    def slots(values):
        padded = np.zeros((num_slots, *np.shape(values)[1:]), np.asarray(values).dtype)
        padded[:num_objects] = values
        return jnp.asarray(padded)

    return GroundTruth(
        boxes=slots(boxes),
        labels=slots(rng.integers(0, NUM_CLASSES, num_objects).astype(np.int32)),
        masks=slots(np.broadcast_to(ellipse, (num_objects, *ellipse.shape))),
        mask_frames=slots(boxes),
        valid=slots(np.ones(num_objects, bool)),
    )


def random_boxes(
    rng: np.random.Generator, count: int, *, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> np.ndarray:
    """Boxes inside the image, each side at least 12 pixels long."""
    sides = rng.uniform(12, 0.7 * np.array([size[1], size[0]]), (count, 2))
    low = rng.uniform(0, 1, (count, 2)) * (np.array([size[1], size[0]]) - sides)
    return np.concatenate([low, low + sides], axis=1).astype(np.float32)


def random_batch(
    seed: int,
    *,
    num_objects: Sequence[int] = (2, 3),
    sizes: Sequence[tuple[int, int]] | None = None,
    num_slots: int = NUM_SLOTS,
) -> Batch:
    """Noise with objects painted into it, each class in its own colour; one image per entry."""
    rng = np.random.default_rng(seed)
    sizes = [(HEIGHT, WIDTH)] * len(num_objects) if sizes is None else sizes
    truths = [
        random_truth(rng, count, size=size, num_slots=num_slots)
        for count, size in zip(num_objects, sizes, strict=True)
    ]
    images = rng.integers(0, 80, (len(num_objects), HEIGHT, WIDTH, 3))
    for image, size, truth in zip(images, sizes, truths, strict=True):
        for box, label in zip(truth.boxes, truth.labels, strict=True):
            x1, y1, x2, y2 = np.asarray(box).astype(int)
            image[y1:y2, x1:x2, int(label)] += 160
        image[size[0] :] = image[:, size[1] :] = 0
    return Batch(
        images=jnp.asarray(images, jnp.uint8),
        sizes=jnp.asarray(sizes, jnp.int32),
        ground_truth=jax.tree.map(lambda *x: jnp.stack(x), *truths),
        indices=jnp.arange(len(num_objects), dtype=jnp.int32),
        valid=jnp.ones(len(num_objects), bool),
    )


def image_keys(num_images: int, seed: int = 0):
    return jax.random.split(jax.random.key(seed), num_images)


def with_garbage_pixels(batch: Batch, *, seed: int = 0) -> Batch:
    """The same images, with noise in the padding."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    padding = np.stack([(rows >= h) | (columns >= w) for h, w in batch.sizes])
    noise = np.random.default_rng(seed).integers(0, 256, batch.images.shape).astype(np.uint8)
    return dataclasses.replace(batch, images=jnp.where(padding[..., None], noise, batch.images))


def with_garbage(truth: GroundTruth, *, seed: int = 0) -> GroundTruth:
    """The same objects; the slots that are not valid hold other objects, or plain nonsense."""
    rng = np.random.default_rng(seed)
    slots = truth.valid.shape
    boxes = random_boxes(rng, truth.valid.size).reshape(*slots, 4)
    nonsense = rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e30, 7.0], boxes.shape)
    labels = rng.integers(0, NUM_CLASSES, slots)
    is_object = np.arange(slots[-1]) % 2 == 0
    boxes = np.where(is_object[:, None], boxes, nonsense)

    def spoil(values, garbage):
        valid = truth.valid.reshape(*slots, *(1 for _ in values.shape[len(slots) :]))
        return jnp.where(valid, values, jnp.asarray(garbage, values.dtype))

    return dataclasses.replace(
        truth,
        boxes=spoil(truth.boxes, boxes),
        labels=spoil(truth.labels, np.where(is_object, labels, 2**30)),
        masks=spoil(truth.masks, rng.random(truth.masks.shape) < 0.5),
        mask_frames=spoil(truth.mask_frames, boxes),
    )
