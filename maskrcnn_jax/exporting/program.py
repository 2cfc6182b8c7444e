"""The whole program that is exported: uint8 images in, detections in their own frame out.

Shapes: b images, h w image size.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import flax.traverse_util
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.sizes import Size, fit_sizes
from maskrcnn_jax.detectors import AnyDetectorConfig
from maskrcnn_jax.exporting.original_frame import MaskForm, in_original_frame
from maskrcnn_jax.exporting.resize import resize_images
from maskrcnn_jax.structures import Batch, GroundTruth

PLATFORMS = ("cpu", "cuda", "tpu")

# Every array of the model by its path, such as "params/backbone/conv1/kernel".
Weights: TypeAlias = dict[str, Array]
Program: TypeAlias = Callable[[Weights, UInt8[Array, "b h w 3"]], dict[str, Array]]


def flat_weights(variables: Mapping[str, Any]) -> Weights:
    """The variables of a model, as the exported program takes them."""
    weights: Any = flax.traverse_util.flatten_dict(dict(variables), sep="/")
    return weights


def detection_program(
    model: AnyDetectorConfig, config: InputConfig, *, image_size: Size, mask_form: MaskForm
) -> Program:
    """``(weights, images) -> detections`` for images of one size (height, width)."""
    resized, padded = sizes_in_network(config, image_size)
    to_original = functools.partial(
        in_original_frame,
        resized=resized,
        original=image_size,
        paste=model.paste,
        mask_form=mask_form,
    )

    def program(weights: Weights, images: UInt8[Array, "b h w 3"]) -> dict[str, Array]:
        variables = flax.traverse_util.unflatten_dict(weights, sep="/")
        batch = _batch(resize_images(images, resized), padded_size=padded)
        # The network is compiled as for itself: nothing of it is computed beforehand or merged with
        # what is around it, which could change its last bits.
        batch = jax.lax.optimization_barrier(batch)
        found = model.build().apply(variables, batch, method="predict")
        return jax.vmap(to_original)(jax.lax.optimization_barrier(found))

    return program


def sizes_in_network(config: InputConfig, image_size: Size) -> tuple[Size, Size]:
    """The size that an image gets, and the padded one, as in evaluation and prediction."""
    sizes, places = fit_sizes(
        np.array([image_size]),
        names=[f"--sizes {image_size[0]} {image_size[1]}"],
        short_side=config.eval_short_side,
        long_side=config.long_side,
        padded_sizes=config.padded_sizes,
    )
    height, width = sizes[0].tolist()
    return (height, width), config.padded_sizes[places[0]]


def export_program(
    program: Program, weights: Weights, *, image_size: Size, batch_size: int | None
) -> jax.export.Exported:
    """Lowers a program for all platforms; without a batch size it takes any number of images."""
    count = jax.export.symbolic_shape("b")[0] if batch_size is None else batch_size
    images = jax.ShapeDtypeStruct((count, *image_size, 3), jnp.uint8)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), weights)
    return jax.export.export(jax.jit(program), platforms=PLATFORMS)(shapes, images)


def _batch(images: UInt8[Array, "b h w 3"], *, padded_size: Size) -> Batch:
    """The images at the top left of zeros, without ground truth."""
    b, height, width, _ = images.shape
    below, right = padded_size[0] - height, padded_size[1] - width
    return Batch(
        images=jnp.pad(images, ((0, 0), (0, below), (0, right), (0, 0))),
        sizes=jnp.broadcast_to(jnp.array([height, width], jnp.int32), (b, 2)),
        ground_truth=GroundTruth(
            boxes=jnp.zeros((b, 0, 4)),
            labels=jnp.zeros((b, 0), jnp.int32),
            masks=jnp.zeros((b, 0, 0, 0), bool),
            mask_frames=jnp.zeros((b, 0, 4)),
            valid=jnp.zeros((b, 0), bool),
        ),
        indices=jnp.zeros(b, jnp.int32),
        valid=jnp.ones(b, bool),
    )
