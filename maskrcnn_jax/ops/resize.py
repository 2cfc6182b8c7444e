"""Maps of features in other sizes, and where in the image their pixels are.

Shapes: b images, h w old size, y x new size, c channels.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def repeat_pixels(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Every pixel becomes 2x2 pixels.

    Stacked, not repeated: the gradient adds the four; that of a repetition is a reduction over two
    short axes, which takes XLA on the CPU five times as long.
    """
    b, h, w, c = x.shape
    rows = jnp.stack([x, x], axis=2).reshape(b, 2 * h, w, c)
    return jnp.stack([rows, rows], axis=3).reshape(b, 2 * h, 2 * w, c)


def resize(x: Float[Array, "b _ _ c"], size: tuple[int, int]) -> Float[Array, "b _ _ c"]:
    """Bilinear between the centres of pixels, the border repeated; nothing is averaged.

    The same as PyTorch's ``interpolate`` with ``align_corners=False``.
    """
    return jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), method="bilinear", antialias=False)


def resize_corners(x: Float[Array, "b h w c"], size: tuple[int, int]) -> Float[Array, "b y x c"]:
    """Corner pixels stay corner pixels, the others are spread evenly between them.

    PyTorch calls this ``align_corners=True``. One product with a matrix for each axis: its gradient
    is one, too, and no scatter.
    """
    rows, columns = (
        jnp.asarray(_corner_weights(old, new), jnp.promote_types(x.dtype, jnp.float32))
        for old, new in zip(x.shape[1:3], size, strict=True)
    )
    highest = jax.lax.Precision.HIGHEST
    return jnp.einsum("yh,bhwc,xw->byxc", rows, x, columns, precision=highest).astype(x.dtype)


def with_coordinates(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c+2"]:
    """Two more channels: x and y of each pixel, from -1 in the first to 1 in the last one.

    They let a convolution tell equal things apart by their place (Liu et al., 2018, CoordConv).
    """
    b, height, width = x.shape[:3]
    columns = jnp.broadcast_to(jnp.linspace(-1, 1, width), (b, height, width))
    rows = jnp.broadcast_to(jnp.linspace(-1, 1, height)[:, None], (b, height, width))
    return jnp.concatenate([x, jnp.stack([columns, rows], axis=-1).astype(x.dtype)], axis=-1)


def _corner_weights(old: int, new: int) -> np.ndarray:
    """How much of each old pixel is in each new one, [new, old]."""
    places = np.arange(new) * ((old - 1) / max(new - 1, 1))
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old)))
