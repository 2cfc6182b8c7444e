"""Class-balanced sampling: images with rare categories are shown more often (LVIS).

Repeat-factor sampling of Gupta et al., 2019, "LVIS", appendix B.2. Shapes: n images.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float, Int


def repeat_factors(
    labels: Sequence[Collection[int]], *, threshold: float
) -> Float[np.ndarray, "n"]:
    """How often each image is to be shown in an epoch, on average; at least once.

    With f the share of the images in which a category appears, the category's factor is
    max(1, sqrt(threshold / f)), and an image has that of its rarest category. ``labels[i]`` are the
    categories of image i, each once; an image without any has 1.
    """
    counts = Counter(label for found in labels for label in found)
    factors = {
        label: max(1.0, float(np.sqrt(threshold * len(labels) / count)))
        for label, count in counts.items()
    }
    return np.array([max((factors[label] for label in found), default=1.0) for found in labels])


def draw_repeats(factors: Float[np.ndarray, "n"], rng: np.random.Generator) -> Int[np.ndarray, "n"]:
    """Whole numbers whose expectations are ``factors``: each rounded up or down at random.

    The rounding is systematic: the fractions are laid end to end in a random order, and those count
    that contain one of the marks at distances of 1, the first of which is drawn. So the sum is
    that of the factors to within 1, and all epochs are equally long, which independent draws for
    each image would not give.
    """
    order = rng.permutation(len(factors))
    ends = np.cumsum(factors[order] - 1) + rng.random()
    extra = np.empty(len(factors), np.int64)
    extra[order] = np.diff(np.floor(ends), prepend=0)
    return 1 + extra


def most_repeats(factors: Float[np.ndarray, "n"]) -> tuple[Int[np.ndarray, "n"], int]:
    """The most that ``draw_repeats`` can give for each image, and for all together."""
    return np.ceil(factors).astype(np.int64), len(factors) + int(np.ceil((factors - 1).sum()))
