"""The examples that a training begins with."""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator

import jax

from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.structures import Batch


def first_examples(
    dataset: Dataset, config: InputConfig, *, seed: int, num: int
) -> Iterator[Batch]:
    """The first ``num`` of training, in its order, each without a batch axis."""
    # Which examples they are does not depend on who makes them: one thread, little ahead.
    config = dataclasses.replace(config, num_workers=0, num_threads=1)
    with contextlib.closing(train_batches(dataset, config, seed=seed)) as batches:
        yield from itertools.islice(itertools.chain.from_iterable(map(_rows, batches)), num)


def _rows(batch: Batch) -> Iterator[Batch]:
    for row in range(len(batch.valid)):
        yield jax.tree.map(lambda x, row=row: x[row], batch)
