import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from maskrcnn_jax.training.state import (
    count_parameters,
    create_state,
    initial_variables,
    merge,
    split,
)
from tests import tiny

FROZEN = (("backbone", "stem"), ("backbone", "res2"))


class OneConv(nn.Module):
    """As much of a detector as it takes to be initialised."""

    @nn.compact
    def predict(self, batch):
        return nn.Conv(2, (3, 3), name="conv")(batch.images.astype(jnp.float32))


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_splitting_and_merging_gives_the_same_variables():
    variables = tiny.tiny_variables()
    trained, constants = split(variables, FROZEN)
    assert set(constants) == {"params", "frozen", "batch_stats"}
    assert set(constants["params"]) == {"backbone"}
    assert set(constants["params"]["backbone"]) == {"stem", "res2"}
    assert set(trained["backbone"]) == {"res3", "res4", "res5"}
    assert_same(merge(trained, constants), variables)


def test_with_nothing_frozen_all_parameters_are_trained():
    variables = tiny.tiny_variables()
    trained, constants = split(variables, ())
    assert constants["params"] == {}
    assert_same(trained, variables["params"])
    assert_same(merge(trained, constants), variables)


def test_only_trained_parameters_have_momentum():
    variables = tiny.tiny_variables()
    state = create_state(variables, optax.sgd(0.1, momentum=0.9), FROZEN)
    assert count_parameters(state.opt_state) == count_parameters(state.params)
    assert count_parameters(state.params) < count_parameters(variables["params"])
    assert state.step == 0
    assert_same(state.variables(), variables)


def test_an_average_begins_as_a_copy_of_what_training_changes():
    variables = tiny.tiny_variables()
    state = create_state(variables, optax.sgd(0.1), FROZEN, with_average=True)
    assert_same(
        state.average, {"params": state.params, "batch_stats": state.constants["batch_stats"]}
    )
    for copy, original in zip(
        jax.tree.leaves(state.average["params"]), jax.tree.leaves(state.params), strict=True
    ):
        assert copy.unsafe_buffer_pointer() != original.unsafe_buffer_pointer()
    assert create_state(variables, optax.sgd(0.1), FROZEN).average is None


def test_parameters_are_counted_by_their_scalars():
    tree = {"a": np.zeros((2, 3)), "b": {"c": np.zeros(4), "d": np.zeros(())}}
    assert count_parameters(tree) == 11


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides_the_first_weights(seed):
    first, again = (initial_variables(OneConv(), seed=seed) for _ in range(2))
    other = initial_variables(OneConv(), seed=seed + 1)
    assert_same(first, again)
    assert (first["params"]["conv"]["kernel"] != other["params"]["conv"]["kernel"]).all()
