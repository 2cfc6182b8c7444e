"""How long to train, from the number of images."""

from dataclasses import dataclass, replace

from maskrcnn_jax.training.optimizer import ScheduleConfig

# The measured recipe for Penn-Fudan (configs/penn_fudan.py): 10 passes over 120 images, a tenth of
# the rate for the last quarter, a sixth of the steps to warm up. Fewer images are shown more often,
# so that heads that start anew get as much to learn from.
_PASSES = 10.0
_FEWEST_SHOWN = 1200
_DECAY_AT = 0.75
_PARTS = 6
# Of warm-up (ScheduleConfig), and between two checkpoints (RunConfig).
_MOST_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Steps:
    """``num_steps`` is about how many there will be: the last batches of a pass may need one more
    for each padded size. ``num_images`` are those of a pass.
    """

    num_images: int
    schedule: ScheduleConfig
    num_steps: int
    checkpoint_every: int

    def reasons(self) -> dict[str, str]:
        """Of each option, why it is as it is."""
        a_part = f"a sixth of the steps, at most {_MOST_STEPS}"
        epochs = self.schedule.epochs
        least = f", so that {_FEWEST_SHOWN} are shown" if epochs > _PASSES else ""
        return {
            "optimizer.schedule.epochs": (
                f"about {self.num_steps} steps: {epochs:g} passes over {self.num_images} images"
                f"{least}"
            ),
            "optimizer.schedule.decay_at": "a tenth of the rate for the last quarter",
            "optimizer.schedule.warmup_steps": a_part,
            "run.checkpoint_every": a_part,
        }


def steps_for(num_images: int, *, batch_size: int, epochs: float | None = None) -> Steps:
    """As many passes as suit so many images, unless ``epochs`` says how many."""
    if epochs is None:
        epochs = round(max(_PASSES, _FEWEST_SHOWN / num_images), 1)
    schedule = ScheduleConfig(epochs=epochs, decay_at=(round(_DECAY_AT * epochs, 4),))
    num_steps = schedule.num_steps(-(-num_images // batch_size))
    part = min(max(num_steps // _PARTS, 1), _MOST_STEPS)
    return Steps(
        num_images=num_images,
        schedule=replace(schedule, warmup_steps=part),
        num_steps=num_steps,
        checkpoint_every=part,
    )
