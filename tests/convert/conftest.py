import dataclasses

import pytest

import configs
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.training.checkpoint import Run
from tests.convert.models import small_model


@pytest.fixture
def small_run() -> Run:
    """A run of the small model with names for its classes."""
    model = small_model()
    config = dataclasses.replace(configs.load("shapes"), model=model)
    names = tuple(Category(id=3 * i + 2, name=f"thing {i}") for i in range(model.num_classes))
    return Run(config=config, categories=names, position=0)
