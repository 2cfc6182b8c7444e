import pytest
import tyro

from maskrcnn_jax.data.colours import ColourJitterConfig
from maskrcnn_jax.data.config import InputConfig
from maskrcnn_jax.data.copy_paste import CopyPasteConfig
from maskrcnn_jax.data.views import LargeScaleJitterConfig, RandomCropConfig
from maskrcnn_jax.errors import InputError
from tests.data.samples import make_config


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"eval_batch_size": 0},
        {"short_sides": ()},
        {"short_sides": (0, 32)},
        {"eval_short_side": 0},
        {"long_side": 0},
        {"padded_sizes": ()},
        {"padded_sizes": ((32, 60),)},
        {"padded_sizes": ((-32, 64),)},
        {"flip_probability": 1.5},
        {"repeat_threshold": -0.1},
        {"repeat_threshold": 1.1},
        {"mask_size": 0},
        {"max_objects": 0},
        {"num_workers": -1},
        {"num_threads": 0},
    ],
)
def test_a_wrong_value_is_named(change):
    (name,) = change
    with pytest.raises(InputError, match=f"^InputConfig: {name} must be .*not "):
        make_config(**change)


def test_the_command_line_sets_every_kind_of_field():
    line = "--short-sides 20 30 --padded-sizes 32 64 96 32 --max-objects 7 --keep-empty"
    config = tyro.cli(InputConfig, default=make_config(), args=line.split())
    assert config == make_config(
        short_sides=(20, 30), padded_sizes=((32, 64), (96, 32)), max_objects=7, keep_empty=True
    )


def test_the_command_line_switches_every_recipe_on():
    line = (
        "--jitter.scales 0.1 2.0 --jitter.size 64 96 --crop.probability 0.5 --crop.min-share 0.8 "
        "--colour.brightness 0.4 --colour.contrast 0.3 --colour.saturation 0.2 "
        "--copy-paste.probability 1 --repeat-threshold 0.001"
    )
    config = tyro.cli(InputConfig, default=make_config(), args=line.split())
    assert config == make_config(
        jitter=LargeScaleJitterConfig(scales=(0.1, 2.0), size=(64, 96)),
        crop=RandomCropConfig(probability=0.5, min_share=0.8),
        colour=ColourJitterConfig(brightness=0.4, contrast=0.3, saturation=0.2),
        copy_paste=CopyPasteConfig(probability=1.0),
        repeat_threshold=0.001,
    )


def test_jitter_takes_the_place_of_the_padded_sizes_in_training():
    assert make_config().training_padded_sizes() == ((32, 64), (64, 32))
    jitter = LargeScaleJitterConfig(scales=(0.1, 2.0), size=(64, 96))
    assert make_config(jitter=jitter).training_padded_sizes() == ((64, 96),)
