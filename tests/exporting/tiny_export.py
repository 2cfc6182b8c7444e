"""A tiny detector for images that are resized and padded, such images, and what is expected."""

import functools
from typing import Any

import jax
import numpy as np

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.images import pad_image, resize_image
from maskrcnn_jax.evaluation.results import ImageDetections, in_original_frame
from maskrcnn_jax.exporting.program import sizes_in_network
from maskrcnn_jax.structures import Batch, GroundTruth
from maskrcnn_jax.training.sharding import data_mesh, replicate, shard_batch
from maskrcnn_jax.training.state import initial_variables
from maskrcnn_jax.training.step import make_predict_step
from tests import tiny

IMAGE_SIZE = (48, 61)  # becomes 64x81, padded to 64x96
BACKGROUND = "params/roi/box_head/classes/bias"

INPUT = InputConfig(
    batch_size=1,
    eval_batch_size=1,
    short_sides=(64,),
    eval_short_side=64,
    long_side=96,
    padded_sizes=((64, 96), (96, 64)),
)


def images(count: int, *, size: tuple[int, int] = IMAGE_SIZE, seed: int = 0) -> np.ndarray:
    """Noise with rectangles in it, uint8 [count, height, width, 3]."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 80, (count, *size, 3), np.uint8)
    for image in pixels:
        for channel in range(3):
            y, x = rng.integers(0, size[0] // 2), rng.integers(0, size[1] // 2)
            image[y : y + 20, x : x + 25, channel] += 150
    return pixels


def variables_of(model: Any) -> dict[str, Any]:
    """Random ones, the same in every call."""
    return tiny.variables_like(functools.partial(initial_variables, model.build(), seed=0))


def predicted(
    model: Any,
    variables: dict[str, Any],
    image: np.ndarray,
    *,
    compiler_options: dict[str, Any] | None = None,
) -> ImageDetections:
    """As predict.py does it: resized and pasted on the host, the network compiled alone."""
    resized, padded = sizes_in_network(INPUT, image.shape[:2])
    mesh = data_mesh()
    arrays: dict[str, Any] = {
        "images": np.stack([pad_image(resize_image(image, resized), padded)] * mesh.size),
        "sizes": np.array([resized] * mesh.size, np.int32),
        "indices": np.zeros(mesh.size, np.int32),
        "valid": np.ones(mesh.size, bool),
    }
    nothing: Any = np.zeros((mesh.size, 0))
    truth = GroundTruth(
        boxes=nothing, labels=nothing, masks=nothing, mask_frames=nothing, valid=nothing
    )
    batch = shard_batch(Batch(**arrays, ground_truth=truth), mesh)
    step = jax.jit(make_predict_step(model.build(), mesh), compiler_options=compiler_options)
    found = jax.device_get(step(replicate(variables, mesh), batch))
    return in_original_frame(
        jax.tree.map(lambda x: x[0], found),
        resized=resized,
        original=image.shape[:2],
        paste=model.paste,
    )
