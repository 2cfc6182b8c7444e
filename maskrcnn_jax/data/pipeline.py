"""Streams of batches: the plan says what is in a batch, grain makes batches ahead of their use."""

import functools
import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import grain
import jax
import numpy as np
from absl import flags

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.examples import training_example
from maskrcnn_jax.data.image_views import (
    NO_AUGMENTATION,
    AugmentationConfig,
    filling_views,
    views,
)
from maskrcnn_jax.data.plan import Entry, Pass, TrainPlan, plan_evaluation
from maskrcnn_jax.data.records import Dataset, RecordSource
from maskrcnn_jax.data.scenes import read_pixels
from maskrcnn_jax.data.semantic_maps import SemanticMaps, semantic_maps
from maskrcnn_jax.data.sizes import Size
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.structures import Batch

# A batch, or one of each view of the same images.
_Batches = TypeVar("_Batches", Batch, tuple[Batch, ...])


class BatchStream(Iterator[_Batches], Generic[_Batches]):
    """Batches of numpy arrays, from number ``start`` up to ``stop``, made ahead of their use.

    ``position`` is the number of the next batch: all that a checkpoint needs to go on exactly here,
    whatever the number of workers then. Close a stream that is not read to its end.
    """

    def __init__(
        self, make_batch: Callable[[int], _Batches], *, start: int, stop: int, config: InputConfig
    ) -> None:
        self.position = start
        # Workers hand over shared memory. A copy frees it now, not whenever the batch is let go.
        self._is_shared = config.num_workers > 0
        attempt = functools.partial(_attempt, make_batch, stop)
        self._batches = iter(_made_ahead(attempt, start=start, config=config))
        # Workers take no signals: one that is forgotten would keep the main process from ending.
        weakref.finalize(self, self._batches.close)

    def __next__(self) -> _Batches:
        batch: Any = next(self._batches)
        if isinstance(batch, Exception):
            self.close()
            raise batch
        self.position += 1
        return jax.tree.map(np.array, batch) if self._is_shared else batch

    def close(self) -> None:
        self._batches.close()


def train_batches(
    dataset: Dataset,
    config: InputConfig,
    *,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream[Batch]:
    """The endless batches of ``TrainPlan``, from number ``start`` on.

    Each process gets its own contiguous rows of every global batch.
    """
    make_batch = _TrainBatches(
        plan=TrainPlan(dataset, config, seed=seed),
        records=dataset.records,
        num_slots=count_object_slots(dataset, config),
        config=config,
        maps=semantic_maps(dataset, config),
        rows=_rows_of_process("batch_size", config.batch_size, process_index, process_count),
    )
    return BatchStream(make_batch, start=start, stop=sys.maxsize, config=config)


def eval_batches(
    dataset: Dataset,
    config: InputConfig,
    augmentation: AugmentationConfig = NO_AUGMENTATION,
    *,
    process_index: int = 0,
    process_count: int = 1,
) -> BatchStream[tuple[Batch, ...]]:
    """The batches of ``plan_evaluation``, without ground truth (it has 0 slots), in all views.

    All processes get the same number of batches. Evaluation takes the ground truth from the
    records, where it is exact.
    """
    size = config.eval_batch_size
    make_batch = _EvalBatches(
        plan=plan_evaluation(dataset, config),
        records=dataset.records,
        config=config,
        augmentation=augmentation,
        rows=_rows_of_process("eval_batch_size", size, process_index, process_count),
    )
    return BatchStream(make_batch, start=0, stop=len(make_batch.plan), config=config)


def count_object_slots(dataset: Dataset, config: InputConfig) -> int:
    """Ground-truth slots of a training image.

    Its own objects are never dropped for lack of slots. Where ``max_objects`` is None there are
    enough for those that copy-paste adds, too.
    """
    num_objects = dataset.images.num_objects
    fullest = int(num_objects.argmax())
    most = int(num_objects[fullest])
    if config.max_objects is None:
        return max(most, 1) * (1 if config.copy_paste.probability == 0 else 2)
    if most > config.max_objects:
        raise InputError(
            f"{dataset.images.file_names[fullest]}: the image has {most} objects, more than "
            f"max_objects ({config.max_objects}). Set max_objects to {most}, or leave it out."
        )
    return config.max_objects


@dataclass(frozen=True, kw_only=True)
class _TrainBatches:
    plan: TrainPlan
    records: RecordSource
    num_slots: int
    config: InputConfig
    maps: SemanticMaps | None
    rows: slice

    def __call__(self, number: int) -> Batch:
        batch = self.plan.batch(number)
        return stack(
            [
                training_example(
                    self.records,
                    entry,
                    padded_size=batch.padded_size,
                    num_slots=self.num_slots,
                    config=self.config,
                    maps=self.maps,
                )
                for entry in batch.entries[self.rows]
            ]
        )


@dataclass(frozen=True, kw_only=True)
class _EvalBatches:
    plan: Pass
    records: RecordSource
    config: InputConfig
    augmentation: AugmentationConfig
    rows: slice

    def __call__(self, number: int) -> tuple[Batch, ...]:
        batch = self.plan.batch(number)
        entries = batch.entries[self.rows]
        return stack([self._views(entry, batch.padded_size) for entry in entries])

    def _views(self, entry: Entry, padded_size: Size) -> tuple[Batch, ...]:
        if not entry.valid:
            return filling_views(padded_size, self.augmentation)
        index = entry.view.index
        return views(
            *(read_pixels(self.records[index]), self.config, self.augmentation),
            padded_size=padded_size,
            index=index,
        )


def _attempt(make_batch: Callable[[int], _Batches], stop: int, number: int) -> _Batches | Exception:
    """Batch ``number``; the end and an ``InputError`` are handed over as values.

    Raised inside grain, they would arrive with notes of its own, and their tracebacks would keep
    batches in shared memory beyond the life of the workers.
    """
    if number >= stop:
        return StopIteration()
    try:
        return make_batch(number)
    except InputError as error:
        return error


def _made_ahead(
    attempt: Callable[[int], _Batches | Exception], *, start: int, config: InputConfig
) -> grain.IterDataset[_Batches | Exception]:
    """``attempt(start)``, ``attempt(start + 1)``, ... without end, several at a time."""
    if config.num_workers > 0 and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain reads a flag: github.com/google/grain/issues/1355
    num_threads = 0 if config.num_workers > 0 else config.num_threads
    return (
        grain.MapDataset.range(start, sys.maxsize)
        .map(attempt)
        .to_iter_dataset(
            grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=num_threads)
        )
        .mp_prefetch(
            grain.MultiprocessingOptions(num_workers=config.num_workers, per_worker_buffer_size=2),
            worker_init_fn=_prepare_worker,
        )
    )


def _prepare_worker(worker_index: int, worker_count: int) -> None:
    del worker_index, worker_count
    cv2.setNumThreads(0)  # the workers are the parallelism
    # Ctrl-C and many schedulers signal workers as well. It is the main process that decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A main process that is killed cannot end its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _rows_of_process(name: str, batch_size: int, index: int, count: int) -> slice:
    if batch_size % count:
        raise InputError(
            f"{name} ({batch_size}) cannot be shared equally by {count} processes. Make it a "
            f"multiple of {count}."
        )
    rows = batch_size // count
    return slice(index * rows, (index + 1) * rows)


def stack(examples: Sequence[_Batches]) -> _Batches:
    """A batch of examples, in each view of them."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *examples)
