"""RoIAlign: pooling of boxes from feature maps by bilinear sampling (Mask R-CNN, section 3).

Each cell of a RoI averages samples spread evenly over it. A sample reads four pixels, and the
weights of neighbouring samples are products of a weight in y and one in x. So per axis a cell
comes down to a few *taps* (pixel, weight), and its value to a sum over pairs of taps of

    pixels[row of tap y, column of tap x] * weight y * weight x.

Each term is one gather over all RoIs at once, which XLA fuses with the product and the sum; the
gathered samples themselves are never stored. With a fixed number of samples the pairs are unrolled;
with adaptive sampling a loop runs as often as the largest RoI needs, so no box is cut short.

Maps of any number and size are stored as one list of pixels, and each RoI says where its map
begins and how large it is: feature pyramids, and the bitmaps of ground-truth masks, are pooled by
the same code.

Shapes: n RoIs, o cells per side, t taps per cell and axis, s samples per cell and axis,
l pixels of all maps together, c channels.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from maskrcnn_jax.ops.sampling_grid import Grid, Maps, adaptive_taps, fixed_taps

_FEW = 16  # pairs of taps: those of two samples per axis


def roi_align(
    pixels: Float[Array, "l c"],
    boxes: Float[Array, "n 4"],
    maps: Maps,
    *,
    output_size: int,
    samples_per_cell: int | None,
    half_pixel: bool,
    longest_side: int,
) -> Float[Array, "n o o c"]:
    """Averages bilinear samples over each of o x o cells of each box.

    Args:
      pixels: all maps, flattened and laid end to end.
      boxes: XYXY in pixels of the RoI's own map. Boxes without area give finite values.
      maps: the map of each RoI.
      output_size: cells per side.
      samples_per_cell: per axis; None for ``ceil(side / output_size)``, Detectron2's "adaptive".
      half_pixel: pixel i has its centre at i + 0.5 (Detectron2's ``aligned=True``); False is the
        older form with centres at i and RoIs at least one pixel large (torchvision).
      longest_side: no box is longer or wider than this, in pixels of its map; adaptive sampling
        of a longer one would be too coarse.

    A sample beyond the outermost pixel centre by more than one pixel counts as 0, nearer ones take
    the border's value. Gradients flow to ``pixels`` only.
    """
    start, size = _start_and_size(boxes, half_pixel)
    if samples_per_cell is None:
        taps = functools.partial(
            adaptive_taps, cells=output_size, max_samples=math.ceil(longest_side / output_size)
        )
    else:
        taps = functools.partial(fixed_taps, cells=output_size, samples=samples_per_cell)
    y = taps(start[:, 1], size[:, 1], maps.height)
    x = taps(start[:, 0], size[:, 0], maps.width)
    return _sum_over_pairs(pixels, jax.lax.stop_gradient(Grid(maps=maps, y=y, x=x)))


def roi_align_max(
    pixels: Float[Array, "l c"],
    boxes: Float[Array, "n 4"],
    maps: Maps,
    *,
    output_size: int,
    samples_per_cell: int,
    half_pixel: bool,
) -> Float[Array, "n o o c"]:
    """As ``roi_align``, but takes the largest sample of each cell (Mask R-CNN, table 2c)."""
    dtype = pixels.dtype
    pixels = pixels.astype(jnp.promote_types(dtype, boxes.dtype))  # that of the gradient's sum
    start, size = jax.lax.stop_gradient(_start_and_size(boxes, half_pixel))
    taps = functools.partial(fixed_taps, cells=output_size, samples=samples_per_cell)
    grid = Grid(
        maps=maps,
        y=taps(start[:, 1], size[:, 1], maps.height),
        x=taps(start[:, 0], size[:, 0], maps.width),
    )

    def sample(i: int, j: int) -> Array:
        corners = [grid.pair(2 * i + di, 2 * j + dj) for di in (0, 1) for dj in (0, 1)]
        return sum((pixels[rows] * weights for rows, weights in corners), jnp.zeros(()))

    places = [(i, j) for i in range(samples_per_cell) for j in range(samples_per_cell)]
    largest = functools.reduce(jnp.maximum, [sample(i, j) for i, j in places])
    return (largest * samples_per_cell**2).astype(dtype)  # taps are weighted for a mean


def _start_and_size(boxes: Array, half_pixel: bool) -> tuple[Array, Array]:
    start, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    return (start - 0.5, size) if half_pixel else (start, jnp.maximum(size, 1))


def _for_each_pair(grid: Grid, body: Callable[[Array, Array, Array], Array], init: Array) -> Array:
    """Chains ``value = body(pixel indices, weights, value)`` over all pairs of taps, in a loop.

    Each RoI goes through its own pairs. Where these are few at most, the number of rounds is known
    when compiling; otherwise the loop ends with the RoI that has most of them.
    """
    count = grid.y.count * grid.x.count

    def step(k, value):
        ty, tx = jnp.divmod(jnp.minimum(k, count - 1), jnp.maximum(grid.x.count, 1))
        index, weights = grid.pair(jnp.maximum(ty, 0), tx)
        return body(index, jnp.where((k < count)[:, None, None, None], weights, 0), value)

    most = math.prod(_taps(grid))
    return jax.lax.fori_loop(0, most if most <= _FEW else count.max(initial=0), step, init)


def _taps(grid: Grid) -> tuple[int, int]:
    """Of a cell: places for taps along y, and along x."""
    return grid.y.index.shape[-1], grid.x.index.shape[-1]


@jax.custom_vjp
def _sum_over_pairs(pixels: Float[Array, "l c"], grid: Grid) -> Float[Array, "n o o c"]:
    """Sum over pairs of taps of pixel * weight, in the weights' precision."""
    n, cells, _ = grid.y.index.shape
    total = jnp.zeros((n, cells, cells, pixels.shape[-1]), grid.y.weight.dtype)

    def add(index: Array, weights: Array, total: Array) -> Array:
        return total + pixels[index] * weights

    if math.prod(_taps(grid)) > _FEW:
        return _for_each_pair(grid, add, total).astype(pixels.dtype)
    for ty, tx in np.ndindex(_taps(grid)):  # unrolled, so that XLA fuses all into one pass
        total = add(*grid.pair(ty, tx), total)
    return total.astype(pixels.dtype)


def _sum_forward(pixels, grid):
    return _sum_over_pairs(pixels, grid), (pixels, grid)


def _sum_backward(saved, gradient):
    """Each pixel receives weight * gradient from every cell that read it.

    In a loop, however few pairs there are: otherwise XLA has the products of all in memory at once.
    """
    pixels, grid = saved
    gradient = gradient.astype(grid.y.weight.dtype)
    zeros = jnp.broadcast_to(_zero_after(gradient), pixels.shape)
    total = _for_each_pair(grid, lambda index, w, t: t.at[index].add(gradient * w), zeros)
    return total.astype(pixels.dtype), None


_sum_over_pairs.defvjp(_sum_forward, _sum_backward)


def _zero_after(x: Array) -> Array:
    """A zero that XLA cannot know before ``x``.

    Arrays of other zeros it makes on the CPU when the program begins, and keeps until the gradient
    is there: 160 MB of a training step at 800x1333 (jax 0.10).
    """
    x = x[:1].sum()
    return ((x > 0) & (x < 0)).astype(x.dtype)
