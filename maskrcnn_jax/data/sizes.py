"""Which size an image gets: resized by its short side, then padded to one of a few sizes.

Sizes are (height, width) in pixels, everywhere.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.errors import InputError

Size: TypeAlias = tuple[int, int]

# The coarsest feature map that is computed from pixels has stride 32 (C5); a side that it divides
# gives every level a whole number of cells.
SIZE_MULTIPLE = 32


def resized_sizes(
    sizes: Int[np.ndarray, "*n 2"], *, short_side: int, long_side: int
) -> Int[np.ndarray, "*n 2"]:
    """Sizes after the short side becomes ``short_side``, or less to keep ``long_side``.

    Rounded to the nearest pixel in the order of operations of Detectron2's ``ResizeShortestEdge``,
    so that the sizes are the same to the pixel; no side falls below 1.
    """
    shortest = sizes.min(-1, keepdims=True)
    exact = np.where(sizes == shortest, short_side, sizes * (short_side / shortest))
    longest = exact.max(-1, keepdims=True)
    exact = np.where(longest > long_side, exact * (long_side / longest), exact)
    return np.maximum((exact + 0.5).astype(np.int32), 1)


def fit_sizes(
    originals: Int[np.ndarray, "n 2"],
    *,
    names: Sequence[str],
    short_side: int,
    long_side: int,
    padded_sizes: Sequence[Size],
) -> tuple[Int[np.ndarray, "n 2"], Int[np.ndarray, "n"]]:
    """Resized sizes, and for each the index of the padded size of least area that holds it.

    Of two equally large padded sizes the earlier one is taken. An image that none holds is an
    error, for which ``names`` are.
    """
    sizes = resized_sizes(originals, short_side=short_side, long_side=long_side)
    padded = np.asarray(padded_sizes)
    holds = (sizes[:, None] <= padded).all(-1)
    for i in np.flatnonzero(~holds.any(-1))[:1]:
        needed = -(-sizes[i] // SIZE_MULTIPLE) * SIZE_MULTIPLE
        raise InputError(
            f"{names[i]}: the image of {_show(originals[i])} (height x width) becomes "
            f"{_show(sizes[i])}, which none of the padded sizes {', '.join(map(_show, padded))} "
            f"holds. Add {_show(needed)} to padded_sizes, or choose smaller sides."
        )
    return sizes, np.where(holds, padded.prod(-1), np.inf).argmin(-1)


def _show(size: np.ndarray) -> str:
    return f"{size[0]}x{size[1]}"
