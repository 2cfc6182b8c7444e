"""Many processes as one program: on a TPU pod, under SLURM or MPI, or as told.

Every process runs the same command. JAX then shows the devices of all of them, and the mesh spans
these; each process reads its own rows of every batch.
"""

import importlib.util
import os
import socket
from dataclasses import dataclass

import jax
import numpy as np
from jax.experimental import multihost_utils

from maskrcnn_jax.errors import InputError

# What launchers tell their processes of how many there are.
_COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_NAME_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """Nothing is needed on a TPU pod slice, under SLURM or Open MPI, or for a single process."""

    # HOST:PORT of process 0, at which all processes meet; needs the two others.
    coordinator: str | None = None
    # How many processes there are, and which of them, from 0, this one is.
    num_processes: int | None = None
    process_id: int | None = None
    # Seconds after which a process that has fallen silent is given up, and the run with it.
    heartbeat_timeout: int = 100

    def __post_init__(self) -> None:
        told = [self.coordinator, self.num_processes, self.process_id]
        if None in told and any(value is not None for value in told):
            raise InputError(
                "distributed.coordinator, distributed.num_processes and distributed.process_id "
                f"are given together or not at all, not {told}"
            )
        if self.heartbeat_timeout < 1:
            raise InputError(f"heartbeat_timeout must be at least 1, not {self.heartbeat_timeout}")


def start_processes(config: DistributedConfig) -> None:
    """Makes this process one of many, if it is; before anything else is done with JAX.

    When a process dies, JAX ends all others within about ``heartbeat_timeout``, with a message
    that has the number of the lost one; process 0 has said at the start on which host it ran.
    """
    if config.coordinator is None and not _launched_with_others() and not _may_be_tpu_pod():
        return
    # It would take SIGTERM for itself, from here on; train.py has Interruption.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            config.coordinator,
            config.num_processes,
            config.process_id,
            heartbeat_timeout_seconds=config.heartbeat_timeout,
        )
    except ValueError:
        if config.coordinator is not None or _launched_with_others():
            raise
        return  # a TPU's library, and no TPU
    hosts = _host_names()
    for index, host in enumerate(hosts):
        say(f"process {index} of {len(hosts)}: {host}")


def is_first_process() -> bool:
    """Whether this process is the one that speaks for all."""
    return jax.process_index() == 0


def say(text: str) -> None:
    """Prints, in the first process only."""
    if is_first_process():
        print(text, flush=True)


def _launched_with_others() -> bool:
    counts = [os.environ.get(name, "") for name in _COUNTS]
    return any(count.isdigit() and int(count) > 1 for count in counts)


def _may_be_tpu_pod() -> bool:
    """JAX asks the machine itself, which takes a while where there is nobody to answer."""
    platforms = os.environ.get("JAX_PLATFORMS", "tpu")
    return "tpu" in platforms and importlib.util.find_spec("libtpu") is not None


def _host_names() -> list[str]:
    """The host of every process, in order."""
    name = f"{socket.gethostname()} (process {os.getpid()})".encode()[:_NAME_LENGTH]
    mine = np.frombuffer(name.ljust(_NAME_LENGTH), np.uint8)
    everybodys = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1, _NAME_LENGTH)
    return [row.tobytes().decode(errors="replace").strip() for row in everybodys]
