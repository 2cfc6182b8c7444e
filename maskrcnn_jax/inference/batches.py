"""From single images to batches, while others are being read."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from maskrcnn_jax.data.pipeline import stack
from maskrcnn_jax.inference.predictor import Views

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    read: Callable[[T], R], items: Iterable[T], *, num_threads: int, ahead: int
) -> Iterator[R]:
    """``read`` of each item, in order, by threads that are at most ``ahead`` items ahead."""
    with ThreadPoolExecutor(num_threads) as pool:
        reading: deque[Future[R]] = deque()
        try:
            for item in items:
                reading.append(pool.submit(read, item))
                if len(reading) > ahead:
                    yield reading.popleft().result()
            while reading:
                yield reading.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def batched(examples: Iterable[Views], batch_size: int) -> Iterator[Views]:
    """Batches of examples of one padded size, each as soon as it is full.

    In the end come those that did not become full, filled up with copies that are not ``valid``.
    """
    waiting: dict[tuple[int, ...], list[Views]] = {}
    for example in examples:
        group = waiting.setdefault(example[0].images.shape, [])
        group.append(example)
        if len(group) == batch_size:
            yield stack(waiting.pop(example[0].images.shape))
    for group in waiting.values():
        filling = tuple(replace(view, valid=np.array(False)) for view in group[0])
        yield stack(group + [filling] * (batch_size - len(group)))
