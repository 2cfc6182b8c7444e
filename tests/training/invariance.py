"""One training and one prediction, on any number of devices: a program of its own, with 8 devices.

Tests call ``outcomes`` and compare what comes back; nothing may depend on the ``Case``.
"""

import dataclasses
import functools
import json
import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.roi.mask import portions
from maskrcnn_jax.training.sharding import DATA_AXIS, place_state, replicate, shard_batch
from maskrcnn_jax.training.state import create_state, initial_variables
from maskrcnn_jax.training.step import make_predict_step, make_train_step
from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(64, 96), (48, 80)] * 4
BATCHES = [
    tiny.random_batch(seed, num_objects=counts, sizes=SIZES)
    for seed, counts in enumerate([(1, 4, 0, 5, 2, 3, 0, 1), (0, 0, 1, 2, 5, 5, 1, 3), (2,) * 8])
]


@dataclass(frozen=True, kw_only=True)
class Case:
    """How three steps on batches of 8 images are done; ``predicts`` does them without training."""

    devices: int = 1
    micro_batches: int = 1
    shard_state: bool = False
    x64: bool = True
    batch_norm: bool = False
    # Places of an image that its mask head goes through at once.
    places: int = 32
    predicts: bool = False
    # Images in a batch of predictions.
    batch_size: int = 8


def outcomes(cases: list[Case]) -> list[dict[str, Any]]:
    """What ``train`` or ``predict`` give for each."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.training.invariance"],
        input=json.dumps([dataclasses.asdict(case) for case in cases]).encode(),
        env={
            "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
            **os.environ,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8 "
            "--xla_backend_optimization_level=0",
        },
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=1200,
        check=True,
    )
    return pickle.loads(result.stdout)


def train(case: Case) -> dict[str, Any]:
    """Metrics and state after each of the steps, and facts about the compiled program."""
    config, mesh = _config(case), _mesh(case)
    optimizer = optax.chain(
        optax.clip_by_global_norm(2.0), optax.sgd(lambda step: 0.01, momentum=0.9)
    )
    state = create_state(_variables(case), optimizer, config.frozen_modules(), with_average=True)
    state = place_state(state, mesh, sharded=case.shard_state)
    batches = [shard_batch(jax.tree.map(np.asarray, batch), mesh) for batch in BATCHES]
    step = make_train_step(
        config.build(),
        optimizer,
        mesh,
        seed=0,
        ema_decay=0.5,
        micro_batches=case.micro_batches,
        shard_state=case.shard_state,
    )
    program = step.lower(state, batches[0]).compile()
    numbers = {}
    for count, batch in enumerate(batches):
        state, metrics = program(state, batch)
        numbers |= named_arrays({f"step {count}": {"metrics": metrics, "state": state}})
    memory = program.memory_analysis()
    return {
        "numbers": numbers,
        "collectives": collectives(program),
        "temporary bytes": memory.temp_size_in_bytes,
        "reused bytes": memory.alias_size_in_bytes,
        "state bytes": bytes_on_each_device((state.params, state.opt_state, state.average)),
    }


def predict(case: Case) -> dict[str, Any]:
    """Detections in all images."""
    mesh, size = _mesh(case), case.batch_size
    variables = replicate(_variables(case), mesh)
    parts = [
        shard_batch(jax.tree.map(lambda x, s=start: np.asarray(x[s : s + size]), batch), mesh)
        for batch in BATCHES
        for start in range(0, 8, size)
    ]
    step = make_predict_step(_config(case).build(), mesh)
    program = step.lower(variables, parts[0]).compile()
    found = [jax.device_get(program(variables, part)) for part in parts]
    found = jax.tree.map(lambda *x: np.concatenate(x), *found)
    return {"numbers": vars(found), "collectives": collectives(program)}


def assert_close(
    numbers: dict[str, np.ndarray], expected: dict[str, np.ndarray], *, tolerance: float
) -> float:
    """Compares arrays by name, relative to their largest number or 1; returns what is worst."""
    assert numbers.keys() == expected.keys()
    worst = {}
    for name, array in expected.items():
        array, other = (np.asarray(x, np.float64) for x in (array, numbers[name]))
        scale = max(1.0, np.abs(array).max(initial=0))
        worst[name] = np.abs(other - array).max(initial=0) / scale
    assert all(error <= tolerance for error in worst.values()), worst
    return max(worst.values())


def collectives(program: jax.stages.Compiled) -> set[str]:
    """What devices say to each other in a compiled program."""
    kinds = "all-gather|all-reduce|all-to-all|collective-[a-z]+|reduce-scatter|send|recv"
    return set(re.findall(rf"\b({kinds})(?:-start)?\(", str(program.as_text())))


def bytes_on_each_device(tree: Any) -> list[int]:
    """How much of some arrays the devices hold, device by device."""
    total: Counter[int] = Counter()
    for array in jax.tree.leaves(tree):
        for shard in array.addressable_shards:
            total[shard.device.id] += shard.data.nbytes
    return [total[device] for device in sorted(total)]


def named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """The arrays of a tree by their paths."""
    return {
        jax.tree_util.keystr(path): np.asarray(x)
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }


def _config(case: Case) -> MaskRCNNConfig:
    config = tiny.tiny_config(axis_name=DATA_AXIS)
    if case.batch_norm:
        return config
    assert config.roi.mask is not None
    mask = dataclasses.replace(config.roi.mask, norm=None)
    return dataclasses.replace(config, roi=dataclasses.replace(config.roi, mask=mask))


def _variables(case: Case):
    dtype = np.float64 if case.x64 else np.float32
    return jax.tree.map(lambda x: np.asarray(x, dtype), _random_variables(_config(case)))


@functools.cache
def _random_variables(config: MaskRCNNConfig):
    return tiny.variables_like(functools.partial(initial_variables, config.build(), seed=0))


def _mesh(case: Case) -> Mesh:
    return Mesh(np.asarray(jax.devices()[: case.devices]), (DATA_AXIS,))


def main() -> None:
    """Reads cases from the standard input, writes their outcomes to the standard output."""
    cases, found = [Case(**case) for case in json.load(sys.stdin)], []
    for case in cases:
        portions._PLACES = case.places
        with jax.enable_x64(case.x64):
            found.append(predict(case) if case.predicts else train(case))
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
