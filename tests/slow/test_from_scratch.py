"""BatchNorms that are trained everywhere learn: a minute on two cores."""

import jax
import numpy as np
import pytest

from maskrcnn_jax.norms import BatchNormConfig
from tests import tiny
from tests.training.test_from_scratch import first_variables, scratch_config, train


@pytest.mark.usefixtures("x64")
def test_the_loss_falls_and_every_parameter_moves():
    config = scratch_config(BatchNormConfig())
    state, losses = train(config, [tiny.random_batch(0)] * 12, num_devices=2)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]
    first = first_variables(config)["params"]
    moved = jax.tree.map(lambda a, b: bool((np.asarray(a) != b).any()), first, state.params)
    assert all(jax.tree.leaves(moved)), moved
