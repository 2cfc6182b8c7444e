"""Data parallelism: every device runs the same program on its share of the images.

One mesh axis, ``data``, spans all devices of all hosts. Parameters are replicated, the leading
axis of a batch is divided.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.errors import InputError

DATA_AXIS = "data"


def data_mesh() -> Mesh:
    """A mesh over all devices."""
    return Mesh(np.asarray(jax.devices()), (DATA_AXIS,))


def check_divides(batch_size: int, mesh: Mesh, option: str) -> None:
    """Refuses a global batch that the devices cannot share equally."""
    if batch_size % mesh.size:
        raise InputError(
            f"{option} {batch_size} does not divide by the {mesh.size} devices; "
            f"use a multiple of {mesh.size}"
        )


def replicate(tree: Any, mesh: Mesh) -> Any:
    """A copy on every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def shard_batch(batch: Any, mesh: Mesh) -> Any:
    """Global arrays from this process's rows of a batch (numpy, leading axis = images)."""
    sharding = NamedSharding(mesh, P(DATA_AXIS))
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), batch)
