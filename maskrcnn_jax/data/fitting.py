"""Which padded sizes the images of a data set come to, whatever is drawn for them.

Shapes: n images, p padded sizes.
"""

import numpy as np
from jaxtyping import Bool, Int

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.sizes import check_held, fit_sizes, resized_sizes


def original_sizes(dataset: Dataset, indices: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n 2"]:
    """(height, width) of these images."""
    return np.stack([dataset.images.heights, dataset.images.widths], axis=-1)[indices]


def fit(
    dataset: Dataset, indices: Int[np.ndarray, "n"], config: InputConfig, short_side: int
) -> tuple[Int[np.ndarray, "n 2"], Int[np.ndarray, "n"]]:
    """Sizes of whole images, resized, and the index of the padded size of each."""
    return fit_sizes(
        original_sizes(dataset, indices),
        names=[dataset.images.file_names[i] for i in indices],
        short_side=short_side,
        long_side=config.long_side,
        padded_sizes=config.padded_sizes,
    )


def reachable_sizes(
    dataset: Dataset, indices: Int[np.ndarray, "n"], config: InputConfig
) -> Bool[np.ndarray, "n p"]:
    """Which padded sizes of training a draw can give to each image.

    An image that a draw can make larger than all of them is an error.
    """
    if config.jitter.scales is not None:
        return np.full((len(indices), 1), True)
    places = [fit(dataset, indices, config, side)[1] for side in config.short_sides]
    if config.crop.probability > 0:
        _check_cuts(dataset, indices, config)
        return np.full((len(indices), len(config.padded_sizes)), True)
    numbers = np.arange(len(config.padded_sizes))
    return np.any(np.stack(places)[..., None] == numbers, axis=0)


def _check_cuts(dataset: Dataset, indices: Int[np.ndarray, "n"], config: InputConfig) -> None:
    """Refuses an image that some window of it makes larger than all padded sizes.

    No window is longer, for its width, or wider, for its height, than the two that are cut along
    one side alone; so none becomes larger than these, with the full short side, do.
    """
    originals = original_sizes(dataset, indices)
    for side in config.short_sides:
        for axis in (0, 1):
            cut = originals.copy()
            cut[:, axis] = config.crop.smallest_sides(originals)[:, axis]
            sizes = resized_sizes(cut, short_side=side, long_side=config.long_side)
            check_held(
                np.maximum(sizes, min(side, config.long_side)),
                originals=cut,
                names=[dataset.images.file_names[i] for i in indices],
                padded_sizes=config.padded_sizes,
            )
