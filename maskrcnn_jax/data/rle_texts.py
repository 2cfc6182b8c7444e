"""Which compressed run-length codes are valid, thousands at once.

What ``segmentation.check_segmentation`` finds out number by number, for files of results, which
hold half a million codes. Shapes: n texts, c characters, r runs.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

_CHARACTERS = 2**18  # at once, about: what fits into a processor's cache
_LONGEST = 7  # digits of a number: 32 bits


def are_valid(texts: Sequence[str], num_pixels: Sequence[int]) -> Bool[np.ndarray, "n"]:
    """Whether the runs of each text can be read, none is negative, and they cover its image."""
    valid = np.zeros(len(texts), bool)
    for rows in _portions(texts):
        chosen = [row for row in rows if texts[row] and texts[row].isascii()]
        if chosen:
            pixels = np.array([num_pixels[row] for row in chosen])
            valid[chosen] = _cover([texts[row] for row in chosen], pixels)
    return valid


def _portions(texts: Sequence[str]) -> Iterator[Sequence[int]]:
    ends = np.cumsum([len(text) for text in texts])
    borders = np.searchsorted(ends, np.arange(0, ends[-1], _CHARACTERS)) if len(ends) else []
    for start, end in itertools.pairwise([*borders, len(texts)]):
        yield range(start, end)


def _cover(texts: list[str], num_pixels: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Of texts that are not empty."""
    digits = np.frombuffer("".join(texts).encode("ascii"), np.uint8) - 48  # below "0": over 200
    lengths = np.array([len(text) for text in texts])
    last = np.cumsum(lengths) - 1
    first = last + 1 - lengths
    is_end = digits & 32 == 0  # of a number
    readable = (np.maximum.reduceat(digits, first) < 64) & is_end[last]
    is_end[last] = True
    ends = np.flatnonzero(is_end)
    values, sizes = _numbers(digits, ends)
    begins = np.searchsorted(ends, first)  # the first number of each text
    readable &= np.maximum.reduceat(sizes, begins) <= _LONGEST
    counts = _counts(values, begins)
    is_positive = np.minimum.reduceat(counts, begins) >= 0
    return readable & is_positive & (np.add.reduceat(counts, begins) == num_pixels)


def _numbers(
    digits: Int[np.ndarray, "c"], ends: Int[np.ndarray, "r"]
) -> tuple[Int[np.ndarray, "r"], Int[np.ndarray, "r"]]:
    """Numbers, and how many digits each has."""
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    places = np.arange(len(digits)) - np.repeat(starts, sizes)
    shifts = 5 * np.minimum(places, _LONGEST)  # longer ones are not valid
    values = np.add.reduceat((digits & 31).astype(np.int64) << shifts, starts)
    is_negative = digits[ends] & 16 > 0
    return values - (is_negative.astype(np.int64) << 5 * np.minimum(sizes, _LONGEST)), sizes


def _counts(values: Int[np.ndarray, "r"], begins: Int[np.ndarray, "n"]) -> Int[np.ndarray, "r"]:
    """Runs: from the fourth number of a text on they are differences from two places before."""
    lengths = np.diff(begins, append=len(values))
    place = np.arange(len(values)) - np.repeat(begins, lengths)
    counts = np.where(place == 0, values, 0)
    for is_of_chain in (place % 2 == 1, (place % 2 == 0) & (place > 0)):
        sums = np.cumsum(np.where(is_of_chain, values, 0))
        before = np.repeat(sums[begins] - np.where(is_of_chain, values, 0)[begins], lengths)
        counts += np.where(is_of_chain, sums - before, 0)
    return counts
