import threading

import numpy as np
import pytest

from maskrcnn_jax.data.examples import image_example
from maskrcnn_jax.inference.batches import batched, read_ahead


def example(index, size):
    image = np.full((*size, 3), index, np.uint8)
    return (image_example(image, size=size, padded_size=size, index=index),)


def test_a_batch_comes_when_it_is_full_and_the_others_in_the_end():
    wide, tall = (32, 64), (64, 32)
    given = [wide, tall, wide, wide, tall, wide, wide]
    batches = [batch for (batch,) in batched((example(i, size) for i, size in enumerate(given)), 2)]
    real = [batch.indices[batch.valid].tolist() for batch in batches]
    assert real == [[0, 2], [1, 4], [3, 5], [6]]
    assert [batch.images.shape for batch in batches[:2]] == [(2, 32, 64, 3), (2, 64, 32, 3)]
    assert batches[-1].valid.tolist() == [True, False]
    for batch in batches:
        assert batch.images.shape[0] == 2
        np.testing.assert_array_equal(batch.images[:, 0, 0, 0], batch.indices)


def test_no_images_no_batches():
    assert list(batched([], 4)) == []


def test_reading_goes_ahead_but_not_far_and_keeps_the_order():
    begun, go_on = [], threading.Event()

    def read(item):
        begun.append(item)
        if item == 0:
            go_on.wait(10)
        return -item

    results = read_ahead(read, range(20), num_threads=3, ahead=4)
    threading.Timer(0.05, go_on.set).start()
    assert next(results) == 0  # others are read while the first one takes its time
    assert max(begun) <= 5
    assert list(results) == [-item for item in range(1, 20)]


def test_an_error_while_reading_is_the_readers_and_ends_it():
    def read(item):
        if item == 2:
            raise OSError("gone")
        return item

    results = read_ahead(read, range(100), num_threads=2, ahead=3)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="gone"):
        next(results)
