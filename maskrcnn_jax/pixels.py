"""From the pixels of a batch to the network's input.

Shapes: b images, h w padded image size.
"""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8


@dataclass(frozen=True, kw_only=True)
class PixelConfig:
    """How pixels (0-255) become the network's input.

    ``mean`` and ``std`` are in the ``order`` of the channels that the network sees; the default is
    that of the ImageNet training images.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)


def normalize(
    images: UInt8[Array, "b h w 3"], sizes: Int[Array, "b 2"], *, config: PixelConfig
) -> Float[Array, "b h w 3"]:
    """(pixel - mean) / std in the real part of each RGB image, 0 in its padding."""
    dtype = jnp.result_type(float)  # float32, float64 under x64
    height, width = images.shape[1:3]
    real = (jnp.arange(height)[:, None] < sizes[:, 0, None, None]) & (
        jnp.arange(width) < sizes[:, 1, None, None]
    )  # [b, h, w]
    mean, std = jnp.asarray(config.mean, dtype), jnp.asarray(config.std, dtype)
    images = images if config.order == "rgb" else images[..., ::-1]
    return jnp.where(real[..., None], (images.astype(dtype) - mean) / std, 0)
