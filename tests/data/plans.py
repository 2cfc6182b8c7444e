"""Plans of training on images of which only the sizes are known."""

import dataclasses

from hypothesis import strategies as st

from maskrcnn_jax.data.copy_paste import CopyPasteConfig
from maskrcnn_jax.data.plan import TrainPlan
from maskrcnn_jax.data.views import LargeScaleJitterConfig, RandomCropConfig
from tests.data.samples import index_only, make_config

# With these an image may fall into another padded size by the draw of its short side.
CONFIG = make_config(
    short_sides=(20, 32, 48),
    eval_short_side=32,
    padded_sizes=((32, 64), (64, 32), (64, 64)),
)
SIZES = st.lists(st.sampled_from([(30, 40), (40, 30), (30, 30), (20, 90)]), min_size=1, max_size=40)
SEEDS = st.integers(0, 2**32)


# All of the geometry that there is.
RECIPES = {
    "short sides": {},
    "crop": {"crop": RandomCropConfig(probability=0.7, min_share=0.4)},
    "jitter": {"jitter": LargeScaleJitterConfig(scales=(0.1, 2.0), size=(64, 96))},
    "all": {
        "crop": RandomCropConfig(probability=0.7, min_share=0.4),
        "jitter": LargeScaleJitterConfig(scales=(0.1, 2.0), size=(64, 96)),
        "copy_paste": CopyPasteConfig(probability=0.5),
    },
    "paste": {"copy_paste": CopyPasteConfig(probability=0.5)},
}


def plan_of(sizes, *, seed=0, num_objects=None, labels=None, **changes):
    dataset = index_only(sizes, [1] * len(sizes) if num_objects is None else num_objects)
    dataset = dataclasses.replace(dataset, labels=labels)
    return TrainPlan(dataset, dataclasses.replace(CONFIG, **changes), seed=seed)


def batches_of_epoch(plan, epoch):
    steps = plan.steps_per_epoch
    return [plan.batch(number) for number in range(epoch * steps, (epoch + 1) * steps)]
