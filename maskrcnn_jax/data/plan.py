"""Which images form which batch, known from the index alone: no image is read.

A batch is identified by one integer, and what is in it is a pure function of the seed and that
integer. So training resumes exactly from any position, with any number of workers or processes.

Shapes: n images in use, e examples of a pass, k batches of a pass, b global batch size.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.fitting import fit, original_sizes, reachable_sizes
from maskrcnn_jax.data.grouping import cut, most_batches, num_batches, split
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.data.repeats import draw_repeats, most_repeats, repeat_factors
from maskrcnn_jax.data.sizes import Size, resized_sizes, smallest_holding
from maskrcnn_jax.data.views import (
    View,
    Views,
    cut_to_fit,
    jittered,
    whole_windows,
    window_sizes,
)
from maskrcnn_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One example of a batch, and what was drawn for it."""

    view: View
    # Of the image whose objects are pasted onto this one.
    source: View | None = None
    # From this follows what else is random: the colours, and which objects are pasted.
    seed: int = 0
    valid: bool = True  # False: it only fills up the last batch of an evaluation


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    padded_size: Size
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The batches of one pass over the images: batch i has the examples ``rows[i]``."""

    padded_sizes: tuple[Size, ...]
    places: Int[np.ndarray, "k"]  # index into padded_sizes
    rows: Int[np.ndarray, "k b"]
    valid: Bool[np.ndarray, "k b"]
    views: Views
    sources: Views | None = None
    has_source: Bool[np.ndarray, "e"]
    seeds: Int[np.ndarray, "e"]

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, row: int) -> BatchPlan:
        pairs = zip(self.rows[row].tolist(), self.valid[row].tolist(), strict=True)
        return BatchPlan(
            padded_size=self.padded_sizes[self.places[row]],
            entries=tuple(self._entry(example, valid=valid) for example, valid in pairs),
        )

    def _entry(self, example: int, *, valid: bool) -> Entry:
        return Entry(
            view=self.views[example],
            source=self._source(example),
            seed=int(self.seeds[example]),
            valid=valid,
        )

    def _source(self, example: int) -> View | None:
        if self.sources is None or not self.has_source[example]:
            return None
        return self.sources[example]


class TrainPlan:
    """Batches without end, in passes (epochs) of ``steps_per_epoch``.

    Every epoch takes each image, or repeats it where ``repeat_threshold`` asks for that, draws a
    view of each, groups them by the padded size that follows, cuts each group into batches and
    shuffles the batches. A group's last batch is filled up from the start of the group: no image is
    left out of an epoch, some are seen more than once. ``num_dropped`` images without objects are
    not used at all.

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
        self._originals = original_sizes(dataset, self._indices)
        self._has_objects = dataset.images.num_objects[self._indices] > 0
        self._factors = _repeat_factors(dataset, self._indices, config.repeat_threshold)
        self._epoch: tuple[int, Pass] | None = None
        self.num_dropped = len(dataset.images) - len(self._indices)
        self.steps_per_epoch = most_batches(
            reachable_sizes(dataset, self._indices, config),
            *most_repeats(self._factors),
            batch_size=config.batch_size,
        )

    def batch(self, number: int) -> BatchPlan:
        """Global batch ``number``, counted from the start of training."""
        epoch, row = divmod(number, self.steps_per_epoch)
        cached = self._epoch
        if cached is None or cached[0] != epoch:  # two threads may both draw it, and draw the same
            cached = self._epoch = (epoch, self._draw(epoch))
        return cached[1].batch(row)

    def _draw(self, epoch: int) -> Pass:
        batch_size, padded_sizes = self._config.batch_size, self._config.training_padded_sizes()
        rng = np.random.default_rng((self._seed, epoch))
        images = np.arange(len(self._indices))
        if self._config.repeat_threshold > 0:
            images = np.repeat(images, draw_repeats(self._factors, rng))
        order = rng.permutation(len(images))
        views = self._draw_views(images, rng)
        places = smallest_holding(views.canvases, padded_sizes)
        groups = split(order, places[order], len(padded_sizes))
        counts = num_batches(groups, batch_size)
        counts[counts.argmax()] += self.steps_per_epoch - counts.sum()
        rows = rng.permutation(cut(groups, counts, batch_size))
        seeds = rng.integers(2**63, size=len(images))
        has_source = rng.random(len(images)) < self._config.copy_paste.probability
        return Pass(
            padded_sizes=padded_sizes,
            places=places[rows[:, 0]],
            rows=rows,
            valid=np.full(rows.shape, True),
            views=views,
            sources=self._draw_sources(images, views, rng) if has_source.any() else None,
            has_source=has_source,
            seeds=seeds,
        )

    def _draw_views(self, images: Int[np.ndarray, "e"], rng: np.random.Generator) -> Views:
        config, originals = self._config, self._originals[images]
        choices = rng.integers(len(config.short_sides), size=len(images))
        flips = rng.random(len(images)) < config.flip_probability
        windows = config.crop.draw(originals, rng)
        if config.jitter.scales is None:
            short_sides = np.array(config.short_sides)[choices][:, None]
            sizes = canvases = resized_sizes(
                window_sizes(windows), short_side=short_sides, long_side=config.long_side
            )
        else:
            windows, sizes = jittered(
                windows, scales=config.jitter.scales, size=config.jitter.size, rng=rng
            )
            canvases = np.broadcast_to(config.jitter.size, sizes.shape)
        return Views(
            indices=self._indices[images],
            windows=windows,
            sizes=sizes,
            canvases=canvases,
            flips=flips,
        )

    def _draw_sources(
        self, images: Int[np.ndarray, "e"], views: Views, rng: np.random.Generator
    ) -> Views | None:
        """For each example another that has objects, seen on a canvas of the same size."""
        candidates = images[self._has_objects[images]]
        if len(candidates) == 0:
            return None
        sources = self._draw_views(rng.choice(candidates, size=len(images)), rng)
        windows, sizes = cut_to_fit(sources.windows, sources.sizes, limits=views.canvases, rng=rng)
        return Views(
            indices=sources.indices,
            windows=windows,
            sizes=sizes,
            canvases=views.canvases,
            flips=sources.flips,
        )


def plan_evaluation(dataset: Dataset, config: InputConfig) -> Pass:
    """Every image once, in the order of the data set within each padded size.

    The last batch of each padded size is filled up with entries that are not ``valid``.
    """
    indices, batch_size = np.arange(len(dataset.images)), config.eval_batch_size
    if len(indices) == 0:
        raise InputError(f"{dataset.name}/{dataset.split}: the split has no images to evaluate.")
    sizes, places = fit(dataset, indices, config, config.eval_short_side)
    groups = split(indices, places, len(config.padded_sizes))
    counts = num_batches(groups, batch_size)
    rows = cut(groups, counts, batch_size)
    valid = [np.arange(k * batch_size) < len(g) for g, k in zip(groups, counts, strict=True)]
    return Pass(
        padded_sizes=config.padded_sizes,
        places=places[rows[:, 0]],
        rows=rows,
        valid=np.concatenate(valid).reshape(rows.shape),
        views=Views(
            indices=indices,
            windows=whole_windows(original_sizes(dataset, indices)),
            sizes=sizes,
            canvases=sizes,
            flips=np.full(len(indices), False),
        ),
        has_source=np.full(len(indices), False),
        seeds=np.zeros(len(indices), np.int64),
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


def _repeat_factors(
    dataset: Dataset, indices: Int[np.ndarray, "n"], threshold: float
) -> Float[np.ndarray, "n"]:
    if threshold == 0:
        return np.ones(len(indices))
    if dataset.labels is None:
        raise ValueError(f"{dataset.name}: the labels of a data set are known when it is stored")
    return repeat_factors([dataset.labels[index] for index in indices], threshold=threshold)
