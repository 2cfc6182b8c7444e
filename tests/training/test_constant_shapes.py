"""After each padded size has been seen once, nothing is compiled and no memory is taken."""

import jax
import numpy as np
import optax

from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.plan import TrainPlan
from maskrcnn_jax.training.compilations import Compilations
from maskrcnn_jax.training.sharding import DATA_AXIS, data_mesh, place_state, shard_batch
from maskrcnn_jax.training.state import create_state
from maskrcnn_jax.training.step import make_train_step
from tests import tiny
from tests.data.samples import make_annotation, make_config, make_dataset, make_record

CONFIG = make_config(
    batch_size=2,
    short_sides=(40, 64),
    long_side=96,
    padded_sizes=((64, 96), (96, 64)),
    keep_empty=True,
)


def dataset_of(num_objects, sizes):
    """An image of each size with each number of objects."""
    rng = np.random.default_rng(0)
    return make_dataset(
        [
            make_record(
                rng.integers(0, 256, (*size, 3), np.uint8),
                [make_annotation((*box, 12, 9)) for box in rng.uniform(0, 30, (count, 2))],
            )
            for count in num_objects
            for size in sizes
        ]
    )


def live_bytes():
    return sum(array.nbytes for array in jax.live_arrays())


def test_images_of_every_size_with_0_1_and_500_objects_change_no_shape():
    dataset = dataset_of((0, 1, 500), [(50, 70), (96, 64), (64, 65), (70, 50)])
    model, mesh, optimizer = tiny.tiny_config(axis_name=DATA_AXIS), data_mesh(), optax.sgd(1e-4)
    step_fn = make_train_step(model.build(), optimizer, mesh, seed=0)
    variables = jax.tree.map(np.array, tiny.tiny_variables())
    state = place_state(create_state(variables, optimizer, model.frozen_modules()), mesh)

    per_epoch = TrainPlan(dataset, CONFIG, seed=0).steps_per_epoch
    stream, compilations = train_batches(dataset, CONFIG, seed=0), Compilations()
    seen, counts, memory = set(), [], []
    for _ in range(2 * per_epoch):
        batch = next(stream)
        seen.add(batch.images.shape)
        state, metrics = step_fn(state, shard_batch(batch, mesh))
        assert np.isfinite(metrics["loss"])
        del batch, metrics
        counts.append(compilations.count)
        memory.append(live_bytes())
    stream.close()
    assert len(seen) == 2
    assert counts[0] > 0
    assert set(counts[per_epoch:]) == {counts[per_epoch - 1]}
    assert set(memory[per_epoch:]) == {memory[per_epoch - 1]}


def test_another_shape_is_counted():
    compilations = Compilations()
    double = jax.jit(lambda x: 2 * x)
    double(np.zeros(3))
    count = compilations.count
    assert count > 0
    assert compilations.seconds_since_asked() > 0
    double(np.ones(3))
    assert compilations.count == count
    assert compilations.seconds_since_asked() == 0
    double(np.zeros(4))
    assert compilations.count == count + 1
