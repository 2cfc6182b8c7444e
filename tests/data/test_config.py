import pytest
import tyro

from maskrcnn_jax.data.config import InputConfig
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
        {"mask_size": 0},
        {"max_objects": 0},
        {"num_workers": -1},
        {"num_threads": 0},
    ],
)
def test_a_wrong_value_is_named(change):
    (name,) = change
    with pytest.raises(InputError, match=f"^{name} must be .*not "):
        make_config(**change)


def test_the_command_line_sets_every_kind_of_field():
    line = "--short-sides 20 30 --padded-sizes 32 64 96 32 --max-objects 7 --keep-empty"
    config = tyro.cli(InputConfig, default=make_config(), args=line.split())
    assert config == make_config(
        short_sides=(20, 30), padded_sizes=((32, 64), (96, 32)), max_objects=7, keep_empty=True
    )
