"""Which compressed run-length codes are valid, thousands at once.

What ``segmentation.check_segmentation`` finds out number by number, for files of results, which
hold half a million codes. Shapes: n texts, c characters, r runs.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

_CHARACTERS = 2**15  # at once, about: arrays that stay in a processor's cache
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
    least, total = _least_and_sum(values, begins)
    return readable & (least >= 0) & (total == num_pixels)


def _numbers(
    digits: Int[np.ndarray, "c"], ends: Int[np.ndarray, "r"]
) -> tuple[Int[np.ndarray, "r"], Int[np.ndarray, "r"]]:
    """Numbers, and how many digits each has."""
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    values = (digits[starts] & 31).astype(np.int64)
    for place in range(1, min(sizes.max(), _LONGEST)):  # longer ones are not valid
        rows = np.flatnonzero(sizes > place)
        values[rows] |= (digits[starts[rows] + place] & 31).astype(np.int64) << 5 * place
    negative = np.flatnonzero(digits[ends] & 16)
    values[negative] -= 1 << 5 * np.minimum(sizes[negative], _LONGEST)
    return values, sizes


def _least_and_sum(
    values: Int[np.ndarray, "r"], begins: Int[np.ndarray, "n"]
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Of the runs of each text: from its fourth number on, a number is what a run is longer than
    the one two places before.
    """
    lengths = np.diff(begins, append=len(values))
    # In pairs of a run of zeros and one of ones: a text of an odd length gets a 0 at its end.
    is_odd = lengths % 2
    first = begins + np.cumsum(is_odd) - is_odd
    chains = np.zeros(len(values) + is_odd.sum(), np.int64)
    chains[np.arange(len(values)) + np.repeat(first - begins, lengths)] = values
    chains[first] = 0  # with the first number no chain begins
    sums = np.cumsum(chains.reshape(-1, 2), axis=0)
    before = np.concatenate([np.zeros((1, 2), np.int64), sums])[first // 2]
    runs = (sums - np.repeat(before, (lengths + is_odd) // 2, axis=0)).ravel()
    runs[first] = values[begins]
    added = np.where(is_odd, runs[first + lengths - 1 + is_odd], 0)
    return np.minimum.reduceat(runs, first), np.add.reduceat(runs, first) - added
