"""Resizing of maps by bilinear interpolation between their corners.

Shapes: b images, h w old size, y x new size, c channels.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def resize_corners(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b y x c"]:
    """Corner pixels stay corner pixels, the others are spread evenly between them.

    PyTorch calls this ``align_corners=True``. One product with a matrix for each axis: its gradient
    is one, too, and no scatter.
    """
    rows, columns = (
        jnp.asarray(_weights(old, new), x.dtype)
        for old, new in zip(x.shape[1:3], size, strict=True)
    )
    return jnp.einsum("yh,bhwc,xw->byxc", rows, x, columns)


def _weights(old: int, new: int) -> np.ndarray:
    """How much of each old pixel is in each new one, [new, old]."""
    places = np.arange(new) * ((old - 1) / max(new - 1, 1))
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old)))
