import pytest

from configs.penn_fudan import penn_fudan
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.finetuning.steps import steps_for


def test_the_steps_for_penn_fudan_are_those_that_were_measured():
    preset, steps = penn_fudan(), steps_for(120, batch_size=2)
    assert steps.schedule == preset.optimizer.schedule
    assert steps.checkpoint_every == preset.run.checkpoint_every
    assert steps.num_steps == 600
    reason = steps.reasons()["optimizer.schedule.epochs"]
    assert reason == "about 600 steps: 10 passes over 120 images"


@pytest.mark.parametrize(
    ("num_images", "batch_size", "num_steps"),
    [(1, 2, 1200), (50, 2, 600), (120, 2, 600), (1000, 2, 5000), (5000, 2, 25000), (50, 16, 96)],
)
def test_few_images_are_shown_more_often(num_images, batch_size, num_steps):
    steps = steps_for(num_images, batch_size=batch_size)
    assert steps.num_steps == num_steps
    assert ("so that 1200 are shown" in str(steps.reasons())) == (num_images < 120)
    assert 0 < steps.schedule.warmup_steps <= min(num_steps / 6, 1000)
    assert 0 < steps.checkpoint_every <= 1000
    (decay_at,) = steps.schedule.decay_at
    assert decay_at == pytest.approx(0.75 * steps.schedule.epochs)


def test_the_rest_follows_from_epochs_that_are_given():
    steps = steps_for(100, batch_size=2, epochs=2)
    assert (steps.num_steps, steps.schedule.decay_at) == (100, (1.5,))
    assert (steps.schedule.warmup_steps, steps.checkpoint_every) == (16, 16)


def test_a_single_step_is_possible():
    steps = steps_for(1, batch_size=8, epochs=0.1)
    assert (steps.num_steps, steps.schedule.warmup_steps, steps.checkpoint_every) == (1, 1, 1)


@pytest.mark.parametrize("epochs", [0.0, -1.0, float("nan"), float("inf")])
def test_no_epochs_are_refused(epochs):
    with pytest.raises(InputError, match="epochs must be above 0"):
        steps_for(10, batch_size=2, epochs=epochs)
