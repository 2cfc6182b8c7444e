"""Pictures of a run, at a few of its steps: what the network gets, and what it makes of it."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from maskrcnn_jax.data.records import Dataset
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.pictures.inputs import input_tile
from maskrcnn_jax.pictures.outputs import detection_tile, proposal_tile
from maskrcnn_jax.pictures.sheet import Tile, sheet
from maskrcnn_jax.structures import Batch, Detections, Proposals
from maskrcnn_jax.training.sharding import DATA_AXIS, shard_batch
from maskrcnn_jax.training.state import TrainState
from maskrcnn_jax.training.step import over_devices

_NUM_IMAGES = 4


class TrainingPictures:
    """The first images of some batches.

    After step 1 with their targets alone, which costs next to nothing; after every
    ``run.pictures_every`` steps with proposals and detections, too. These are another program than
    the step, which stays as it is; it is compiled when it is first needed, once for each padded
    size. All processes run it after the same steps, as it is one program over all devices.
    """

    def __init__(self, config: ExperimentConfig, dataset: Dataset, mesh: Mesh) -> None:
        self._every = config.run.pictures_every
        self._paste: Literal["exact", "whole_pixels"] = config.model.paste
        self._dataset, self._mesh = dataset, mesh
        self._names = [category.name for category in dataset.categories]
        self._outputs = make_outputs_step(config.model.build(), mesh)

    def are_due(self, step: int) -> bool:
        """Whether this step is one of the few."""
        return self._every > 0 and (step == 1 or step % self._every == 0)

    def draw(self, step: int, state: TrainState, batch: Batch) -> np.ndarray:
        """The pictures after a step, of this process's rows of a batch, on one sheet."""
        num_devices = self._mesh.local_mesh.size
        each = min(-(-_NUM_IMAGES // num_devices), len(batch.valid) // num_devices)
        batch = jax.tree.map(lambda x: x[: each * num_devices], batch)
        examples = _rows(batch)
        if step % self._every:
            return sheet([input_tile(example, self._dataset) for example in examples])
        outputs = self._outputs(state.variables(), shard_batch(batch, self._mesh))
        outputs = multihost_utils.global_array_to_host_local_array(
            outputs, self._mesh, P(DATA_AXIS)
        )
        rows = zip(examples, _rows(jax.device_get(outputs)), strict=True)
        tiles = [list(self._tiles(example, *outputs)) for example, outputs in rows]
        return sheet([tile for row in tiles for tile in row], columns=len(tiles[0]))

    def _tiles(
        self, example: Batch, proposals: Proposals | None, detections: Detections
    ) -> Iterator[Tile]:
        yield input_tile(example, self._dataset)
        if proposals is not None:
            yield proposal_tile(example, proposals)
        yield detection_tile(example, detections, names=self._names, paste=self._paste)


def make_outputs_step(
    model: nn.Module, mesh: Mesh
) -> Callable[[dict[str, Any], Batch], tuple[Proposals | None, Detections]]:
    """A jitted ``(variables, batch) -> (proposals, detections)``, divided like the batch."""

    def local_outputs(variables: dict[str, Any], batch: Batch) -> Any:
        # What both have in common is computed once: XLA merges equal operations.
        return tuple(model.apply(variables, batch, method=name) for name in ("propose", "predict"))

    return over_devices(local_outputs, mesh)


def _rows(tree: Any) -> list[Any]:
    """The first entries along the leading axis, one by one."""
    number = min(len(jax.tree.leaves(tree)[0]), _NUM_IMAGES)
    return [jax.tree.map(lambda x, row=row: x[row], tree) for row in range(number)]
