"""Maps seen at single points, and which points of a mask are worth seeing (PointRend, section 3).

A point is (x, y). Relative points are in units of their RoI's box, [0, 1] from its top left corner
to its bottom right one; the others are in pixels of a map, of which pixel i covers [i, i + 1]. The
less certain a point is, the nearer to 0 is its logit.

Shapes: n RoIs, p points of a RoI, l pixels of all maps together, c channels, k s sides of a mask.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from maskrcnn_jax.ops.sampling_grid import Maps


def sample_points(
    pixels: Float[Array, "l c"], points: Float[Array, "n p 2"], maps: Maps
) -> Float[Array, "n p c"]:
    """Bilinear samples at ``points``, in pixels of each RoI's own map.

    Around a map are zeros: a sample fades over the half pixel on either side of its border
    (PyTorch's ``grid_sample`` with ``align_corners=False``), where RoIAlign keeps the border's
    value. Gradients flow to ``pixels`` only.
    """
    dtype = pixels.dtype
    pixels = pixels.astype(jnp.promote_types(dtype, points.dtype))  # that of the gradient's sum
    size = jnp.stack([maps.width, maps.height], -1)[:, None]  # [n, 1, 2]
    position = jax.lax.stop_gradient(points) - 0.5
    first = jnp.floor(position)
    beyond, first = position - first, first.astype(jnp.int32)

    def corner(step: np.ndarray) -> Array:
        place = first + step
        share = jnp.where(step, beyond, 1 - beyond)
        share = jnp.where((place >= 0) & (place < size), share, 0).prod(-1)
        x, y = jnp.moveaxis(jnp.clip(place, 0, size - 1), -1, 0)
        index = maps.offset[:, None] + y * maps.width[:, None] + x
        return pixels[index] * share[..., None]

    steps = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    return sum((corner(step) for step in steps), jnp.zeros(())).astype(dtype)


def sample_own_map(
    maps: Float[Array, "n k k c"], points: Float[Array, "n p 2"]
) -> Float[Array, "n p c"]:
    """The map of each RoI at relative ``points``."""
    num_rois, side = maps.shape[:2]
    places = Maps(
        offset=jnp.arange(num_rois) * side**2,
        height=jnp.full(num_rois, side),
        width=jnp.full(num_rois, side),
    )
    return sample_points(maps.reshape(-1, maps.shape[-1]), points * side, places)


def in_boxes(points: Float[Array, "n p 2"], boxes: Float[Array, "n 4"]) -> Float[Array, "n p 2"]:
    """Relative points in the frame of their boxes (XYXY)."""
    origin, end = boxes[:, None, :2], boxes[:, None, 2:]
    return origin + points * (end - origin)


def regular_grid(num_rois: Any, side: int) -> Float[Array, "n p 2"]:
    """Centres of ``side`` x ``side`` cells, row by row: the same relative points for each RoI.

    The number of RoIs may be a symbol, in a program that is exported for any number of images.
    """
    centres = (np.arange(side) + 0.5) / side
    points = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
    return jnp.broadcast_to(points.astype(jnp.result_type(float)), (num_rois, *points.shape))


def cell_centres(
    indices: Int[Array, "n p"], *, side: int, in_float32: bool
) -> Float[Array, "n p 2"]:
    """Centres of some cells of a ``side`` x ``side`` grid, counted row by row, as relative points.

    With ``in_float32`` they are rounded to that also where all else is float64 (Detectron2
    ``get_uncertain_point_coords_on_grid``).
    """
    dtype = np.float32 if in_float32 else np.float64
    centres = np.arange(side, dtype=dtype) * dtype(1 / side) + dtype(0.5 / side)
    y, x = jnp.divmod(indices, side)
    return jnp.asarray(centres, jnp.result_type(float))[jnp.stack([x, y], -1)]


def draw_points(
    logits: Float[Array, "n k k"],
    key: PRNGKeyArray,
    *,
    num_points: int,
    oversampling: int,
    importance: float,
) -> Float[Array, "n p 2"]:
    """Relative points to train on: a share ``importance`` of them uncertain, the rest anywhere.

    The uncertain ones are the best of ``oversampling * num_points`` uniform ones. Logits are seen
    at the points first and judged then: between -1 and 1 lies an uncertain place (PointRend,
    section 3.1; Detectron2 ``get_uncertain_point_coords_with_randomness``).
    """
    num_rois, num_candidates = logits.shape[0], oversampling * num_points
    num_uncertain = int(importance * num_points)
    num_drawn = num_candidates + num_points - num_uncertain
    drawn = jax.random.uniform(key, (num_rois, num_drawn, 2), logits.dtype)
    candidates, anywhere = jnp.split(drawn, [num_candidates], axis=1)
    seen = sample_own_map(jax.lax.stop_gradient(logits)[..., None], candidates)[..., 0]
    uncertain = most_uncertain(seen, num_points=num_uncertain)
    uncertain = jnp.take_along_axis(candidates, uncertain[..., None], axis=1)
    return jnp.concatenate([uncertain, anywhere], axis=1)


def most_uncertain(logits: Float[Array, "n l"], *, num_points: int) -> Int[Array, "n p"]:
    """Places of the least certain logits of each row; of equals the first ones."""
    return jax.lax.top_k(-jnp.abs(logits), num_points)[1]


def double(logits: Float[Array, "n s s"]) -> Float[Array, "n 2*s 2*s"]:
    """Bilinear interpolation to twice the side, each pixel split in four; borders are extended."""
    num_rois, side, _ = logits.shape
    return jax.image.resize(logits, (num_rois, 2 * side, 2 * side), "bilinear")


def replace_cells(
    logits: Float[Array, "n s s"], indices: Int[Array, "n p"], values: Float[Array, "n p"]
) -> Float[Array, "n s s"]:
    """Other values for some cells, all different, counted row by row."""
    rows = jnp.arange(logits.shape[0])[:, None]
    flat = logits.reshape(logits.shape[0], -1)
    return flat.at[rows, indices].set(values, unique_indices=True).reshape(logits.shape)
