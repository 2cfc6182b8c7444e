import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.training.average import averaged_part, next_average


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.99])
def test_it_equals_the_loop(decay):
    values = np.random.default_rng(0).normal(size=(40, 3))
    average, expected = {"a": jnp.asarray(values[0])}, values[0]
    for step, value in enumerate(values[1:]):
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * value
        average = next_average(average, {"a": value}, decay=decay, step=jnp.asarray(step))
        np.testing.assert_allclose(average["a"], expected, rtol=1e-12)


def test_what_does_not_change_is_its_own_average():
    values = {"a": jnp.asarray(np.random.default_rng(0).normal(size=100), jnp.float32)}
    average = next_average(values, values, decay=0.9998, step=jnp.asarray(10_000))
    np.testing.assert_array_equal(average["a"], values["a"])


def test_small_changes_are_not_lost_to_rounding():
    """1000 steps towards a value, in float32, with a decay near 1."""
    average, step = (
        {"a": jnp.zeros(1)},
        jax.jit(
            lambda average, step: next_average(average, {"a": jnp.ones(1)}, decay=0.9998, step=step)
        ),
    )
    for number in range(50_000, 51_000):
        average = step(average, number)
    np.testing.assert_allclose(average["a"], 1 - 0.9998**1000, rtol=1e-3)


def test_running_statistics_are_averaged_with_the_weights_and_constants_are_not():
    constants = {"params": {"stem": 1}, "frozen": {"mean": 2}, "batch_stats": {"mean": 3}}
    assert averaged_part({"head": 0}, constants) == {
        "params": {"head": 0},
        "batch_stats": {"mean": 3},
    }
    del constants["batch_stats"]
    assert averaged_part({"head": 0}, constants) == {"params": {"head": 0}}
