"""The input pipeline: from stored JPEG files and polygons to batches."""

import dataclasses
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

import configs
from benchmarks.speed import coco_files
from benchmarks.speed.inputs import Size
from maskrcnn_jax.data.coco_format.config import CocoFormatConfig
from maskrcnn_jax.data.pipeline import train_batches


def batches(
    *, size: Size, num_images: int, batch_size: int, cores: int | None
) -> Callable[[], Any]:
    """One batch of the mission's recipe, on so many ``cores``; None: on all."""
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        cv2.setNumThreads(cores)
    folder = Path(tempfile.mkdtemp())
    coco_files.write_data_set(folder, num_images=num_images, size=size, objects_per_image=7)
    dataset = CocoFormatConfig(root=folder, cache_dir=folder / "stored").build("train")
    config = configs.load("mask_rcnn_r50_fpn_1x").input
    config = dataclasses.replace(
        config, batch_size=batch_size, num_threads=cores or len(os.sched_getaffinity(0))
    )
    stream = train_batches(dataset, config, seed=0)
    return lambda: next(stream)
