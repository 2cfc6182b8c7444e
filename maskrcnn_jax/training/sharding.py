"""Data parallelism: every device runs the same program on its share of the images.

One mesh axis, ``data``, spans all devices of all hosts. The leading axis of a batch is divided over
it. The state of training is on every device, or divided as well.
"""

from collections import Counter
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.errors import InputError

DATA_AXIS = "data"


def data_mesh() -> Mesh:
    """A mesh over all devices, process by process, as each process has consecutive images."""
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.asarray(devices), (DATA_AXIS,))


def check_divides(batch_size: int, mesh: Mesh, *, micro_batches: int = 1) -> None:
    """Refuses a global batch that processes, devices and micro-batches cannot share equally."""
    devices = Counter(device.process_index for device in mesh.devices.flat)
    if len(set(devices.values())) > 1:
        raise InputError(
            f"processes with {sorted(devices.values())} devices cannot share a batch equally; "
            "give each of them as many"
        )
    num_parts = mesh.size * micro_batches
    if batch_size % num_parts:
        processes = f" of {len(devices)} processes" if len(devices) > 1 else ""
        parts = f" times --run.micro-batches {micro_batches}" if micro_batches > 1 else ""
        raise InputError(
            f"--input.batch-size {batch_size} does not divide by the {mesh.size} devices"
            f"{processes}{parts}; use a multiple of {num_parts}"
        )


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A copy on every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def place_state(state: Any, mesh: Mesh, *, sharded: bool = False) -> Any:
    """The state on every device, or each array divided over them as far as it can be."""
    return jax.device_put(state, state_shardings(state, mesh, sharded=sharded))


def state_shardings(state: Any, mesh: Mesh, *, sharded: bool) -> Any:
    """Where the arrays of a state (or of their shapes) are placed.

    If ``sharded``, each is cut along its longest axis that divides by the number of devices (the
    first of several). Vectors are not: biases, norms and their like are few numbers.
    """

    def sharding(x: jax.typing.ArrayLike) -> NamedSharding:
        shape = np.shape(x)
        axes = [axis for axis, length in enumerate(shape) if length % mesh.size == 0]
        if not sharded or len(shape) < 2 or not axes:
            return NamedSharding(mesh, P())
        longest = max(axes, key=lambda axis: shape[axis])
        return NamedSharding(mesh, P(*(None,) * longest, DATA_AXIS))

    return jax.tree.map(sharding, state)


def shard_batch(batch: Any, mesh: Mesh) -> Any:
    """Global arrays from this process's rows of a batch (numpy, leading axis = images)."""
    sharding = NamedSharding(mesh, P(DATA_AXIS))
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)
