"""The process in which a training step of a given size is timed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

import configs
from benchmarks.speed import inputs
from benchmarks.speed.inputs import Size
from benchmarks.speed.serving import serve
from maskrcnn_jax.structures import Batch, GroundTruth
from maskrcnn_jax.training.sharding import data_mesh, replicate, shard_batch
from maskrcnn_jax.training.state import create_state, initial_variables
from maskrcnn_jax.training.step import make_train_step


def step(
    *, size: Size, batch_size: int, num_objects: int, num_classes: int, num_rois: int
) -> Callable[[], Any]:
    """A step of ``mask_rcnn_r50_fpn_1x`` on all devices, with random weights and objects."""
    model: Any = configs.load("mask_rcnn_r50_fpn_1x").model
    sampling = dataclasses.replace(model.roi.sampling, num_samples=num_rois)
    roi = dataclasses.replace(model.roi, sampling=sampling)
    config = dataclasses.replace(model, roi=roi, num_classes=num_classes)
    mesh, optimizer = data_mesh(), optax.sgd(1e-6)
    state = create_state(
        initial_variables(config.build(), seed=0), optimizer, config.frozen_modules()
    )
    state = replicate(state, mesh)
    train_step = make_train_step(config.build(), optimizer, mesh, seed=0)
    batch = shard_batch(
        _batch(size, batch_size=batch_size, num_objects=num_objects, num_classes=num_classes), mesh
    )

    def run() -> None:
        nonlocal state
        state, metrics = train_step(state, batch)
        jax.block_until_ready((state, metrics))

    return run


def _batch(size: Size, *, batch_size: int, num_objects: int, num_classes: int) -> Batch:
    boxes = np.stack([inputs.regions(num_objects, size, seed=i) for i in range(batch_size)])
    labels = np.random.default_rng(0).integers(num_classes, size=boxes.shape[:2])
    truth: Any = {
        "boxes": boxes,
        "labels": labels.astype(np.int32),
        "masks": np.ones((*boxes.shape[:2], 112, 112), bool),
        "mask_frames": boxes,
        "valid": np.ones(boxes.shape[:2], bool),
    }
    arrays: Any = {
        "images": np.stack([inputs.picture(size, seed=i) for i in range(batch_size)]),
        "sizes": np.tile(np.array(size, np.int32), (batch_size, 1)),
        "indices": np.arange(batch_size, dtype=np.int32),
        "valid": np.ones(batch_size, bool),
    }
    return Batch(**arrays, ground_truth=GroundTruth(**truth))


if __name__ == "__main__":
    serve({"step": step})
