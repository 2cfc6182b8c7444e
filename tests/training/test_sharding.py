import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.training.sharding import check_divides, data_mesh, replicate, shard_batch
from tests import tiny


def test_the_mesh_spans_all_devices():
    mesh = data_mesh()
    assert mesh.axis_names == ("data",)
    assert list(mesh.devices) == jax.devices()
    assert mesh.size == 2  # set in conftest


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


def test_a_batch_that_does_not_divide_is_refused():
    check_divides(4, data_mesh(), "--input.batch-size")
    with pytest.raises(InputError, match=r"--input\.batch-size 3 .* 2 devices.*multiple of 2"):
        check_divides(3, data_mesh(), "--input.batch-size")
