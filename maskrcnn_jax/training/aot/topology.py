"""The devices of a TPU slice, for which libtpu compiles where there are none."""

import importlib.util
import os
from importlib.metadata import version

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from maskrcnn_jax.errors import InputError
from maskrcnn_jax.training.sharding import DATA_AXIS

# GiB of memory (HBM) that XLA may use on a device, by its own words (libtpu 0.0.42). A device is a
# chip of v5e, v5p and v6e, and half a chip of v4 and TPU7x.
_MEMORY = {
    "TPU v4": 15.25,
    "TPU v5 lite": 15.75,
    "TPU v5": 95.74,
    "TPU v6 lite": 31.25,
    "TPU7x": 94.75,
}
# libtpu would look for the TPU of this machine, and lets one process at a time have it.
_NO_TPU = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def slice_mesh(topology: str) -> Mesh:
    """A mesh over all devices of a slice such as ``v5e:2x4``; they can be compiled for only."""
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "compiling for TPUs needs libtpu, which is not installed: pip install "
            f'"jax[tpu]=={jax.__version__}"'
        )
    for name, value in _NO_TPU.items():
        os.environ.setdefault(name, value)
    try:
        devices = topologies.get_topology_desc(topology, platform="tpu").devices
    except jax.errors.JaxRuntimeError as error:
        raise InputError(
            f"--topology {topology}: {error}. Slices are such as v5e:2x4, v5e:16x16, v5p:4x4x4 and "
            "v6e:4x4"
        ) from None
    return Mesh(np.asarray(devices), (DATA_AXIS,))


def describe(mesh: Mesh) -> str:
    """Number, kind and memory of the devices, and who compiles for them."""
    kind = mesh.devices.flat[0].device_kind
    memory = f" with {_MEMORY[kind]:.2f} GiB each" if kind in _MEMORY else ""
    versions = f"jax {jax.__version__}, libtpu {version('libtpu')}"
    return f"{mesh.size} x {kind}{memory} ({versions})"
