"""Which size an image gets: resized by its short side, then padded to one of a few sizes.

Sizes are (height, width) in pixels, everywhere.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.errors import InputError

Size: TypeAlias = tuple[int, int]
# A part of an image: XYXY in its whole pixels.
Window: TypeAlias = tuple[int, int, int, int]

# The coarsest feature map that is computed from pixels has stride 32 (C5); a side that it divides
# gives every level a whole number of cells.
SIZE_MULTIPLE = 32


def resized_sizes(
    sizes: Int[np.ndarray, "*n 2"],
    *,
    short_side: int | Int[np.ndarray, "*n 1"],
    long_side: int,
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
    """Resized sizes, and for each the index of the padded size that it gets.

    An image that none holds is an error, for which ``names`` are.
    """
    sizes = resized_sizes(originals, short_side=short_side, long_side=long_side)
    check_held(sizes, originals=originals, names=names, padded_sizes=padded_sizes)
    return sizes, smallest_holding(sizes, padded_sizes)


def check_held(
    sizes: Int[np.ndarray, "n 2"],
    *,
    originals: Int[np.ndarray, "n 2"],
    names: Sequence[str],
    padded_sizes: Sequence[Size],
) -> None:
    """Refuses an image that becomes larger than all padded sizes."""
    places = smallest_holding(sizes, padded_sizes)
    for i in np.flatnonzero(places < 0)[:1]:
        needed = -(-sizes[i] // SIZE_MULTIPLE) * SIZE_MULTIPLE
        raise InputError(
            f"{names[i]}: the image of {_show(originals[i])} (height x width) becomes "
            f"{_show(sizes[i])}, which none of the padded sizes "
            f"{', '.join(_show(padded) for padded in padded_sizes)} holds. Add {_show(needed)} to "
            "padded_sizes, or choose smaller sides."
        )


def smallest_holding(
    sizes: Int[np.ndarray, "n 2"], padded_sizes: Sequence[Size]
) -> Int[np.ndarray, "n"]:
    """The index of the padded size of least area that holds each size; -1 where none does.

    Of two equally large padded sizes the earlier one is taken.
    """
    padded = np.asarray(padded_sizes)
    holds = (sizes[:, None] <= padded).all(-1)
    smallest = np.where(holds, padded.prod(-1), np.inf).argmin(-1)
    return np.where(holds.any(-1), smallest, -1)


def _show(size: Sequence[int] | np.ndarray) -> str:
    return f"{size[0]}x{size[1]}"
