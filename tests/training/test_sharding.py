from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.training import sharding
from maskrcnn_jax.training.checkpoint import Checkpoints, load_trained
from maskrcnn_jax.training.sharding import (
    check_divides,
    data_mesh,
    place_state,
    replicate,
    shard_batch,
)
from maskrcnn_jax.training.state import create_state
from tests import tiny
from tests.training.invariance import bytes_on_each_device
from tests.training.test_checkpoint import RUN


def test_the_mesh_spans_all_devices():
    mesh = data_mesh()
    assert mesh.axis_names == ("data",)
    assert list(mesh.devices) == jax.devices()
    assert mesh.size == 2  # set in conftest


def test_the_devices_of_a_process_are_neighbours(monkeypatch):
    """A process reads consecutive images, and JAX may list devices in another order."""
    devices = fake_devices(0, 1, 0, 1)
    monkeypatch.setattr(sharding.jax, "devices", lambda: devices)
    monkeypatch.setattr(sharding, "Mesh", lambda devices, axis_names: devices)
    assert [device.id for device in data_mesh()] == [0, 2, 1, 3]


def fake_devices(*processes):
    return [SimpleNamespace(id=i, process_index=p) for i, p in enumerate(processes)]


def test_every_device_has_the_whole_state():
    array = replicate({"a": np.arange(6.0).reshape(2, 3)}, data_mesh())["a"]
    assert len(array.addressable_shards) == 2
    for shard in array.addressable_shards:
        np.testing.assert_array_equal(shard.data, np.arange(6.0).reshape(2, 3))


def test_every_device_has_its_images():
    batch = jax.tree.map(np.asarray, tiny.random_batch(0, num_objects=(0, 1, 2, 3)))
    shared = shard_batch(batch, data_mesh())
    jax.tree.map(np.testing.assert_array_equal, shared, batch)
    for name in ("images", "sizes", "indices"):
        first, second = getattr(shared, name).addressable_shards
        np.testing.assert_array_equal(first.data, getattr(batch, name)[:2])
        np.testing.assert_array_equal(second.data, getattr(batch, name)[2:])
    assert shared.images.dtype == jnp.uint8


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((), P()),
        ((6,), P()),
        ((3, 5), P()),
        ((4, 5), P("data")),
        ((4, 6), P(None, "data")),
        ((6, 6), P("data")),
        ((2, 7, 7, 64), P(None, None, None, "data")),
    ],
)
def test_the_longest_axis_that_can_be_is_divided(shape, spec):
    values = np.random.default_rng(0).normal(size=shape)
    for sharded, expected in ((True, spec), (False, P())):
        placed = place_state({"a": values}, data_mesh(), sharded=sharded)["a"]
        np.testing.assert_array_equal(placed, values.astype(np.float32))
        assert placed.sharding.spec == expected


@pytest.mark.parametrize("sharded", [True, False])
def test_a_checkpoint_can_be_placed_in_another_way(tmp_path, sharded):
    mesh, frozen = data_mesh(), RUN.config.model.frozen_modules()
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = create_state(tiny.tiny_variables(), optimizer, frozen)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(place_state(state, mesh, sharded=sharded), RUN)
    checkpoints.close()

    like = place_state(jax.tree.map(jnp.zeros_like, state), mesh, sharded=not sharded)
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore_state(like)
    checkpoints.close()
    jax.tree.map(
        np.testing.assert_array_equal,
        (restored.params, restored.opt_state),
        (state.params, state.opt_state),
    )
    assert bytes_on_each_device(restored) == bytes_on_each_device(like)
    assert jax.tree.map(lambda x: x.sharding, restored) == jax.tree.map(lambda x: x.sharding, like)
    jax.tree.map(np.testing.assert_array_equal, load_trained(tmp_path)[1], tiny.tiny_variables())


def test_a_batch_that_does_not_divide_is_refused():
    check_divides(4, data_mesh())
    check_divides(8, data_mesh(), micro_batches=4)
    with pytest.raises(InputError, match=r"--input\.batch-size 3 .* 2 devices; .*multiple of 2"):
        check_divides(3, data_mesh())
    message = r"--input\.batch-size 4 .* 2 devices times --run\.micro-batches 4; .*multiple of 8"
    with pytest.raises(InputError, match=message):
        check_divides(4, data_mesh(), micro_batches=4)


def test_processes_share_a_batch_equally():
    check_divides(8, fake_mesh(0, 0, 1, 1))
    with pytest.raises(InputError, match=r"batch-size 6 .* 4 devices of 2 processes; .* of 4"):
        check_divides(6, fake_mesh(0, 0, 1, 1))
    with pytest.raises(InputError, match=r"processes with \[1, 3\] devices cannot share"):
        check_divides(8, fake_mesh(0, 1, 1, 1))


def fake_mesh(*processes):
    devices = fake_devices(*processes)
    return SimpleNamespace(size=len(devices), devices=np.array(devices))
