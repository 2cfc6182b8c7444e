"""The whole detector, with the weights that its peer has."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.inputs import Size
from maskrcnn_jax.convert import torchvision
from maskrcnn_jax.evaluation.results import in_original_frame
from maskrcnn_jax.structures import Batch, GroundTruth
from maskrcnn_jax.training.state import merge, split
from tests.parity.torchvision_cases import seeded_variables

_NUM_CLASSES = 90
_MASK_SIZE = 112


class Program(NamedTuple):
    """A function of arrays, to be compiled, and what it is given."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def predict(*, size: Size, batch_size: int, precision: str) -> Callable[[], Any]:
    """From images on the host to masks in the image."""
    program = prediction(size=size, batch_size=batch_size, precision=precision)
    compiled = jax.jit(program.function)

    def run() -> Any:
        detections = jax.device_get(compiled(*program.arguments))
        return [
            in_original_frame(
                jax.tree.map(lambda x, row=row: x[row], detections),
                resized=size,
                original=size,
                paste=_model().paste,
            )
            for row in range(batch_size)
        ]

    return run


def gradients(**options: Any) -> Callable[[], Any]:
    """Losses and the gradients of all trained parameters; options as of ``training``."""
    program = training(**options)
    compiled = jax.jit(program.function)
    return lambda: jax.block_until_ready(compiled(*program.arguments))


def prediction(*, size: Size, batch_size: int, precision: str) -> Program:
    """``(variables, batch) -> detections``."""
    config = _model(precision=precision)

    def detect(variables: Any, batch: Batch) -> Any:
        return config.build().apply(variables, batch, method="predict")

    return Program(detect, (_variables(), _batch(size, batch_size=batch_size, num_objects=0)))


def training(
    *, size: Size, batch_size: int, num_rois: int, num_objects: int, precision: str
) -> Program:
    """``(params, constants, batch) -> (loss, gradients)``."""
    config = _model(precision=precision, num_rois=num_rois)

    def loss_and_gradients(params: Any, constants: Any, batch: Batch) -> Any:
        keys = jax.random.split(jax.random.key(0), batch_size)

        def objective(params: Any) -> Any:
            variables = merge(params, constants)
            terms: Any = config.build().apply(variables, batch, keys, method="loss")
            return sum(term.mean for term in terms.values())

        return jax.value_and_grad(objective)(params)

    params, constants = split(_variables(), config.frozen_modules())
    batch = _batch(size, batch_size=batch_size, num_objects=num_objects)
    return Program(loss_and_gradients, (params, constants, batch))


def _model(*, precision: str = "float32", num_rois: int = 512) -> Any:
    model: Any = torchvision.model(num_classes=_NUM_CLASSES)
    sampling = dataclasses.replace(model.roi.sampling, num_samples=num_rois)
    roi = dataclasses.replace(model.roi, sampling=sampling)
    return dataclasses.replace(model, roi=roi, precision=precision)


def _variables() -> Any:
    seeded = seeded_variables(_model())
    return jax.device_put(jax.tree.map(lambda x: np.asarray(x, np.float32), seeded))


def _batch(size: Size, *, batch_size: int, num_objects: int) -> Batch:
    """Padded as the input pipeline does, with bitmaps as it makes them."""
    height, width = size
    images = [inputs.picture(size, seed=index) for index in range(batch_size)]
    below, right = -height % 32, -width % 32
    found = [
        inputs.objects(num_objects, size, num_classes=_NUM_CLASSES, seed=index)
        for index in range(batch_size)
    ]
    boxes = np.stack([item["boxes"] for item in found])
    cells = _ellipse(_MASK_SIZE)
    truth: Any = {
        "boxes": boxes,
        "labels": np.stack([item["labels"] for item in found]),
        "masks": np.broadcast_to(cells, (*boxes.shape[:2], *cells.shape)),
        "mask_frames": boxes,
        "valid": np.ones(boxes.shape[:2], bool),
    }
    arrays: Any = {
        "images": np.pad(np.stack(images), ((0, 0), (0, below), (0, right), (0, 0))),
        "sizes": np.tile(np.array(size, np.int32), (batch_size, 1)),
        "indices": np.arange(batch_size),
        "valid": np.ones(batch_size, bool),
    }
    return jax.device_put(Batch(**arrays, ground_truth=GroundTruth(**truth)))


def _ellipse(side: int) -> np.ndarray:
    """The mask of ``inputs.objects`` in the frame of its box."""
    cells = (np.arange(side) + 0.5) / side * 2 - 1
    return cells[:, None] ** 2 + cells[None, :] ** 2 <= 1
