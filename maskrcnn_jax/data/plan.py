"""Which images form which batch, known from the index alone: no image is read.

A batch is identified by one integer, and what is in it is a pure function of the seed and that
integer. So training resumes exactly from any position, with any number of workers or processes.

Shapes: n images in use, s short sides to choose from, k batches of a pass, b global batch size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.sizes import Size, fit_sizes
from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of a batch: its place in the data set and what was drawn for it."""

    index: int
    size: Size  # after resizing
    flip: bool
    valid: bool  # False: it only fills up the last batch of an evaluation


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    padded_size: Size
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The batches of one pass over the images."""

    padded_sizes: tuple[Size, ...]
    places: Int[np.ndarray, "k"]  # index into padded_sizes
    indices: Int[np.ndarray, "k b"]
    sizes: Int[np.ndarray, "k b 2"]
    flips: Bool[np.ndarray, "k b"]
    valid: Bool[np.ndarray, "k b"]

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, row: int) -> BatchPlan:
        columns = (self.indices, self.sizes, self.flips, self.valid)
        return BatchPlan(
            padded_size=self.padded_sizes[self.places[row]],
            entries=tuple(
                Entry(index=index, size=(height, width), flip=flip, valid=valid)
                for index, (height, width), flip, valid in zip(
                    *(column[row].tolist() for column in columns), strict=True
                )
            ),
        )


class TrainPlan:
    """Batches without end, in passes (epochs) of ``steps_per_epoch``.

    Every epoch shuffles the images, draws a short side and a flip for each, groups the images by
    the padded size that follows, cuts each group into batches and shuffles the batches. A group's
    last batch is filled up from the start of the group: no image is left out of an epoch, some are
    seen more than once. ``num_dropped`` images without objects are not used at all.

    All epochs have the same number of batches although the draw may move images between groups: it
    is the most that any draw can need, at most one more for each further padded size. Where a draw
    needs fewer, its largest group is continued from its start in the same way.
    """

    def __init__(self, dataset: Dataset, config: InputConfig, *, seed: int) -> None:
        if seed < 0:
            raise InputError(f"The seed of the input pipeline must be at least 0, not {seed}.")
        self._seed = seed
        self._config = config
        self._indices = _images_to_train_on(dataset, keep_empty=config.keep_empty)
        fits = [_fit(dataset, self._indices, config, side) for side in config.short_sides]
        self._sizes: Int[np.ndarray, "n s 2"] = np.stack([sizes for sizes, _ in fits], axis=1)
        self._places: Int[np.ndarray, "n s"] = np.stack([places for _, places in fits], axis=1)
        self._epoch: tuple[int, Pass] | None = None
        self.num_dropped = len(dataset.images) - len(self._indices)
        self.steps_per_epoch = self._most_batches()

    def batch(self, number: int) -> BatchPlan:
        """Global batch ``number``, counted from the start of training."""
        epoch, row = divmod(number, self.steps_per_epoch)
        cached = self._epoch
        if cached is None or cached[0] != epoch:  # two threads may both draw it, and draw the same
            cached = self._epoch = (epoch, self._draw(epoch))
        return cached[1].batch(row)

    def _draw(self, epoch: int) -> Pass:
        config, images = self._config, np.arange(len(self._indices))
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(images)
        choices = rng.integers(len(config.short_sides), size=len(images))
        flips = rng.random(len(images)) < config.flip_probability
        places, sizes = self._places[images, choices], self._sizes[images, choices]
        groups = _split(order, places[order], len(config.padded_sizes))
        counts = _num_batches(groups, config.batch_size)
        counts[counts.argmax()] += self.steps_per_epoch - counts.sum()
        batches = rng.permutation(_cut(groups, counts, config.batch_size))
        return Pass(
            padded_sizes=config.padded_sizes,
            places=places[batches[:, 0]],
            indices=self._indices[batches],
            sizes=sizes[batches],
            flips=flips[batches],
            valid=np.full(batches.shape, True),
        )

    def _most_batches(self) -> int:
        """The most batches that any draw can need.

        g groups of n images in all need at most g + (n - g) // b batches, and each group at most
        those for all images that a draw can put into it.
        """
        batch_size, images = self._config.batch_size, np.arange(len(self._indices))
        reachable = [
            images[(self._places == place).any(-1)]
            for place in range(len(self._config.padded_sizes))
        ]
        num_groups = min(sum(len(group) > 0 for group in reachable), len(images))
        bound = num_groups + (len(images) - num_groups) // batch_size
        return min(bound, int(_num_batches(reachable, batch_size).sum()))


def plan_evaluation(dataset: Dataset, config: InputConfig) -> Pass:
    """Every image once, in the order of the data set within each padded size.

    The last batch of each padded size is filled up with entries that are not ``valid``.
    """
    indices, batch_size = np.arange(len(dataset.images)), config.eval_batch_size
    if len(indices) == 0:
        raise InputError(f"{dataset.name}/{dataset.split}: the split has no images to evaluate.")
    sizes, places = _fit(dataset, indices, config, config.eval_short_side)
    groups = _split(indices, places, len(config.padded_sizes))
    counts = _num_batches(groups, batch_size)
    batches = _cut(groups, counts, batch_size)
    valid = [np.arange(k * batch_size) < len(g) for g, k in zip(groups, counts, strict=True)]
    return Pass(
        padded_sizes=config.padded_sizes,
        places=places[batches[:, 0]],
        indices=batches,
        sizes=sizes[batches],
        flips=np.full(batches.shape, False),
        valid=np.concatenate(valid).reshape(batches.shape),
    )


def _images_to_train_on(dataset: Dataset, *, keep_empty: bool) -> Int[np.ndarray, "n"]:
    num_objects = dataset.images.num_objects
    indices = np.flatnonzero((num_objects > 0) | keep_empty)
    if len(indices) == 0:
        raise InputError(
            f"{dataset.name}/{dataset.split}: none of its {len(num_objects)} images has an object "
            "to train on. Check the annotations of this split."
        )
    return indices


def _fit(
    dataset: Dataset, indices: Int[np.ndarray, "n"], config: InputConfig, short_side: int
) -> tuple[Int[np.ndarray, "n 2"], Int[np.ndarray, "n"]]:
    images = dataset.images
    return fit_sizes(
        np.stack([images.heights, images.widths], axis=-1)[indices],
        names=[images.file_names[i] for i in indices],
        short_side=short_side,
        long_side=config.long_side,
        padded_sizes=config.padded_sizes,
    )


def _split(
    images: Int[np.ndarray, "n"], places: Int[np.ndarray, "n"], num_places: int
) -> list[Int[np.ndarray, "_"]]:
    """The images of each place, in their order."""
    return [images[places == place] for place in range(num_places)]


def _num_batches(groups: Sequence[np.ndarray], batch_size: int) -> Int[np.ndarray, "_"]:
    return np.array([-(-len(group) // batch_size) for group in groups])


def _cut(
    groups: Sequence[np.ndarray], counts: Int[np.ndarray, "_"], batch_size: int
) -> Int[np.ndarray, "k b"]:
    """``counts[i]`` batches of group i, which is repeated from its start as often as needed."""
    return np.concatenate(
        [np.resize(group, (k, batch_size)) for group, k in zip(groups, counts, strict=True)]
    )
