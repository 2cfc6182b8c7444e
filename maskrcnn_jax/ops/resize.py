"""Maps of features in other sizes, and where in the image their pixels are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def resize(x: Float[Array, "b _ _ c"], size: tuple[int, int]) -> Float[Array, "b _ _ c"]:
    """Bilinear between the centres of pixels, the border repeated; nothing is averaged.

    The same as PyTorch's ``interpolate`` with ``align_corners=False``.
    """
    return jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), method="bilinear", antialias=False)


def with_coordinates(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c+2"]:
    """Two more channels: x and y of each pixel, from -1 in the first to 1 in the last one.

    They let a convolution tell equal things apart by their place (Liu et al., 2018, CoordConv).
    """
    b, height, width = x.shape[:3]
    columns = jnp.broadcast_to(jnp.linspace(-1, 1, width), (b, height, width))
    rows = jnp.broadcast_to(jnp.linspace(-1, 1, height)[:, None], (b, height, width))
    return jnp.concatenate([x, jnp.stack([columns, rows], axis=-1).astype(x.dtype)], axis=-1)
