import dataclasses

from configs.shapes import shapes
from maskrcnn_jax.finetuning.fitted import FittedConfig

CONFIG = shapes()
FITTED = FittedConfig(
    config=CONFIG,
    heading=("about the data",),
    reasons={"input.padded_sizes": "why", "run.checkpoint_every": "how", "data.eval_split": "x"},
    given=frozenset({"run.checkpoint_every"}),
    warnings=("beware",),
)


def test_each_choice_is_told_as_an_option_with_its_reason():
    assert FITTED.explain(CONFIG) == [
        "about the data",
        "  --input.padded-sizes 128 128  why",
        "  --run.checkpoint-every 125    as given",
        "  --data.eval-split val         x",
        "warning: beware",
    ]


def test_what_the_command_line_changed_is_told_as_it_is_used():
    inputs = dataclasses.replace(CONFIG.input, padded_sizes=((64, 96), (96, 64)))
    used = dataclasses.replace(CONFIG, input=inputs)
    assert FITTED.explain(used)[1] == "  --input.padded-sizes 64 96 96 64  as given"


def test_a_preset_that_was_not_fitted_has_nothing_to_tell():
    assert FittedConfig(config=CONFIG).explain(CONFIG) == []
