"""Work directories of runs that nobody has trained."""

import dataclasses
from functools import partial
from pathlib import Path

from maskrcnn_jax.data.records import Category
from maskrcnn_jax.maskrcnn import MaskRCNNConfig
from maskrcnn_jax.training.checkpoint import Checkpoints, Run
from maskrcnn_jax.training.state import create_state, initial_variables
from tests import tiny
from tests.training.test_checkpoint import CONFIG


def save_run(workdir: Path, model: MaskRCNNConfig) -> None:
    """A checkpoint of a tiny detector with random weights; its classes are a, b and c."""
    config = dataclasses.replace(CONFIG, model=model)
    optimizer = config.optimizer.build(lambda step: 0.0)
    variables = tiny.variables_like(partial(initial_variables, model.build(), seed=0))
    state = create_state(variables, optimizer, model.frozen_modules())
    categories = tuple(Category(id=i, name=name) for i, name in enumerate("abc"))
    with Checkpoints(workdir) as checkpoints:
        checkpoints.save(state, Run(config=config, categories=categories, position=0))
