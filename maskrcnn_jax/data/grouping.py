"""Examples in groups of one padded size each, and full batches cut from the groups.

Shapes: n images, e examples, p padded sizes and so groups, k batches, b batch size.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def most_batches(
    reachable: Bool[np.ndarray, "n p"],
    most: Int[np.ndarray, "n"],
    total: int,
    *,
    batch_size: int,
) -> int:
    """The most batches that any draw can need, for at most ``total`` examples of all images.

    g groups of e examples in all need at most g + (e - g) // b batches, and each group at most
    those for the ``most`` examples that a draw can have of each image that can come into it.
    """
    examples = (reachable * most[:, None]).sum(0)
    num_groups = min(int((examples > 0).sum()), total)
    bound = num_groups + (total - num_groups) // batch_size
    return min(bound, int((-(-examples // batch_size)).sum()))


def split(
    examples: Int[np.ndarray, "e"], places: Int[np.ndarray, "e"], num_places: int
) -> list[Int[np.ndarray, "_"]]:
    """The examples of each place, in their order."""
    return [examples[places == place] for place in range(num_places)]


def num_batches(groups: Sequence[np.ndarray], batch_size: int) -> Int[np.ndarray, "p"]:
    """How many batches each group needs."""
    return np.array([-(-len(group) // batch_size) for group in groups])


def cut(
    groups: Sequence[np.ndarray], counts: Int[np.ndarray, "p"], batch_size: int
) -> Int[np.ndarray, "k b"]:
    """``counts[i]`` batches of group i, which is repeated from its start as often as needed."""
    return np.concatenate(
        [np.resize(group, (k, batch_size)) for group, k in zip(groups, counts, strict=True)]
    )
