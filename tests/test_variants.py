"""What every variant and every composition of parts must fulfil, on a tiny detector.

Presets of full size are held to their shapes alone (``test_common``); numbers of devices:
``tests/slow/test_variants_on_devices.py``.
"""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from examples.coord_mask_head import CoordMaskHeadConfig
from maskrcnn_jax.convert import detectron2, mmdetection
from maskrcnn_jax.roi.mask import (
    BoundaryMaskHeadConfig,
    DynamicMaskHeadConfig,
    MaskScoringConfig,
)
from maskrcnn_jax.roi.mask.pixel_losses import GeneralisedCrossEntropyConfig, SoftMaskLossConfig
from maskrcnn_jax.roi.pooling import RoIPoolConfig
from maskrcnn_jax.roi.suppression import GaussianSoftNMSConfig
from maskrcnn_jax.training.checkpoint import Checkpoints, Run, load_trained
from maskrcnn_jax.training.compilations import Compilations
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh, place_state, shard_batch
from maskrcnn_jax.training.state import create_state, initial_variables
from maskrcnn_jax.training.step import make_predict_step, make_train_step
from tests import tiny
from tests.solo.models import tiny_solov2
from tests.training.test_checkpoint import CONFIG as EXPERIMENT

pytestmark = pytest.mark.usefixtures("small_portions")

MESHES = {1: Mesh(np.asarray(jax.devices()[:1]), (DATA_AXIS,)), 2: data_mesh()}
OPTIMIZER = optax.chain(optax.clip_by_global_norm(2.0), optax.sgd(0.02, momentum=0.9))
BATCH = tiny.random_batch(0, sizes=((tiny.HEIGHT, tiny.WIDTH), (tiny.HEIGHT - 12, tiny.WIDTH - 8)))
EMPTY_BATCH = tiny.random_batch(1, num_objects=(0, 0))
COMPILATIONS = Compilations()


def plain(**roi):
    """The tiny detector with other parts in its second stage.

    Without a BatchNorm, which would see how a batch is divided, and with a backbone that is not
    trained, so that it compiles in less time.
    """
    config = tiny.tiny_config()
    roi = {"mask": dataclasses.replace(config.roi.mask, norm=None)} | roi
    return dataclasses.replace(
        config,
        backbone=dataclasses.replace(config.backbone, frozen_stages=5),
        roi=dataclasses.replace(config.roi, **roi),
    )


def with_mask(config, mask):
    return dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=mask))


FCN = plain().roi.mask
SOFT_NMS = dataclasses.replace(
    plain().roi.detections, nms=GaussianSoftNMSConfig(), class_agnostic_nms=True
)
JUDGED_POINT_REND = MaskScoringConfig(head=tiny.point_rend(), channels=8, hidden=16)
DYNAMIC = DynamicMaskHeadConfig(num_convs=1, channels=16)
ONE_BOX = dataclasses.replace(plain().roi.box, class_agnostic=True)

VARIANTS = {
    "RoIPool, Soft-NMS": plain(
        pooling=RoIPoolConfig(output_size=7),
        mask=dataclasses.replace(
            FCN,
            pooling=RoIPoolConfig(output_size=7),
            loss=GeneralisedCrossEntropyConfig(q=0.7),
        ),
        detections=SOFT_NMS,
    ),
    "boundary head": plain(
        mask=BoundaryMaskHeadConfig(
            fcn=dataclasses.replace(FCN, loss=SoftMaskLossConfig()), num_boundary_convs=1
        )
    ),
    "dynamic masks, class-agnostic boxes": plain(mask=DYNAMIC, box=ONE_BOX),
    "a judged head from outside of the package": plain(
        mask=MaskScoringConfig(
            head=CoordMaskHeadConfig(num_convs=1, channels=16), channels=8, hidden=16
        )
    ),
    "cascade with judged PointRend": with_mask(
        tiny.as_cascade(plain(), detectron2), JUDGED_POINT_REND
    ),
    "cascade with a mask head in each stage": tiny.as_cascade(plain(), mmdetection),
    "HTC with masks of 56": tiny.as_htc(plain(mask=dataclasses.replace(FCN, num_upsamples=2))),
    "SOLOv2": tiny_solov2(),
}


@functools.cache
def first_variables(name):
    """Random variables, on the host."""
    init = functools.partial(initial_variables, VARIANTS[name].build(), seed=0)
    return jax.tree.map(np.asarray, tiny.variables_like(init))


def first_state(name):
    return create_state(first_variables(name), OPTIMIZER, VARIANTS[name].frozen_modules())


@functools.cache
def train_step(name, num_devices):
    return make_train_step(VARIANTS[name].build(), OPTIMIZER, MESHES[num_devices], seed=0)


@functools.cache
def predict_step(name):
    return make_predict_step(VARIANTS[name].build(), MESHES[2])


def train(name, batches, *, num_devices=2):
    """The state after one step for each batch, and of each its metrics and what it compiled."""
    mesh = MESHES[num_devices]
    state, log, compiled = place_state(first_state(name), mesh), [], []
    for batch in batches:
        batch = shard_batch(jax.tree.map(np.asarray, batch), mesh)
        count = COMPILATIONS.count
        state, metrics = train_step(name, num_devices)(state, batch)
        compiled.append(COMPILATIONS.count - count)
        log.append(jax.device_get(metrics))
    return jax.device_get(state), log, compiled


@functools.cache
def trained(name):
    return train(name, [BATCH] * 6)


def predict(name, batch):
    return jax.device_get(predict_step(name)(first_variables(name), batch))


each_variant = pytest.mark.parametrize("name", VARIANTS)


@each_variant
def test_steps_on_a_batch_lower_the_loss_and_train_every_part(name):
    state, log, _ = trained(name)
    losses = [metrics["loss"] for metrics in log]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), first_state(name).params, state.params)
    assert all(jax.tree.leaves(moved)), moved


@each_variant
def test_one_program_does_all_steps_and_one_finds_all_objects(name):
    *_, compiled = trained(name)
    assert compiled[0] <= 1  # 0 where another test has trained before
    assert not any(compiled[1:])
    for verb in (lambda batch: train(name, [batch]), lambda batch: predict(name, batch)):
        verb(BATCH)
        count = COMPILATIONS.count
        verb(EMPTY_BATCH)
        assert COMPILATIONS.count == count


@each_variant
def test_garbage_in_empty_slots_and_beyond_the_image_changes_nothing(name):
    dirty = tiny.with_garbage_pixels(
        dataclasses.replace(BATCH, ground_truth=tiny.with_garbage(BATCH.ground_truth))
    )
    state, [metrics], _ = train(name, [dirty])
    clean_state, [clean], _ = train(name, [BATCH])
    jax.tree.map(np.testing.assert_array_equal, (metrics, state), (clean, clean_state))
    jax.tree.map(np.testing.assert_array_equal, predict(name, dirty), predict(name, BATCH))


@each_variant
def test_images_without_objects_train_the_background_alone(name):
    state, [metrics], _ = train(name, [EMPTY_BATCH])
    assert state.finite
    of_objects = ("rpn_box", "roi_box", "roi_mask", "roi_boundary", "mask")
    zeros = [x for name, x in metrics.items() if name.startswith(of_objects)]
    assert zeros
    assert not any(zeros)
    assert metrics["loss"] > 0


@each_variant
def test_there_are_detections_and_nothing_in_empty_entries(name):
    found = predict(name, BATCH)
    assert found.valid.any()
    masks = found.masks[found.valid]
    assert masks.size > 0
    assert ((masks >= 0) & (masks <= 1)).all()
    assert (np.diff(np.where(found.valid, found.scores, 0), axis=1) <= 0).all()
    for array in (found.boxes, found.scores, found.mask_scores):
        assert not array[~found.valid].any()


@each_variant
def test_what_is_saved_is_what_is_loaded(name, tmp_path):
    state, *_ = trained(name)
    experiment = dataclasses.replace(EXPERIMENT, model=VARIANTS[name])
    run = Run(config=experiment, categories=(), position=6)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(place_state(state, MESHES[2]), run)
    checkpoints.close()
    loaded, variables = load_trained(tmp_path)
    assert loaded == run
    jax.tree.map(np.testing.assert_array_equal, variables, state.variables())
    resumed = Checkpoints(tmp_path).restore_state(place_state(first_state(name), MESHES[2]))
    jax.tree.map(np.testing.assert_array_equal, resumed, state)
