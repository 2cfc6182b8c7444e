import abc
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import configs
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig
from maskrcnn_jax.serialization import differences, from_json, to_json


@dataclass(frozen=True, kw_only=True)
class Hard:
    iou_threshold: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Soft:
    sigma: float


@dataclass(frozen=True, kw_only=True)
class Config:
    name: str
    sides: tuple[int, ...] = (480, 512)
    size: tuple[int, float] = (1, 0.5)
    nms: Hard | Soft = field(default_factory=Hard)
    root: Path | None = None
    depth: Literal[18, 50] = 50
    mode: Literal["mean", "max"] = "mean"
    crop: bool = False
    rate: float = 0.1
    limit: int | None = None


class Open(abc.ABC):
    @abc.abstractmethod
    def build(self): ...


@dataclass(frozen=True, kw_only=True)
class Own(Open):
    sigma: float = 2.0

    def build(self): ...


@dataclass(frozen=True, kw_only=True)
class OpenConfig:
    nms: Hard | Open = field(default_factory=Hard)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
CONFIGS = st.builds(
    Config,
    name=st.text(),
    sides=st.lists(st.integers()).map(tuple),
    size=st.tuples(st.integers(), FINITE),
    nms=st.builds(Hard, iou_threshold=FINITE) | st.builds(Soft, sigma=FINITE),
    root=st.none() | st.sampled_from([Path("data"), Path("/a/b c")]),
    depth=st.sampled_from([18, 50]),
    mode=st.sampled_from(["mean", "max"]),
    crop=st.booleans(),
    rate=FINITE,
    limit=st.none() | st.integers(),
)


def there_and_back(config):
    return from_json(type(config), json.loads(json.dumps(to_json(config))), where="config.json")


@given(CONFIGS)
def test_every_config_comes_back_from_json(config):
    back = there_and_back(config)
    assert back == config
    for a, b in zip(vars(config).values(), vars(back).values(), strict=True):
        assert type(a) is type(b)


@pytest.mark.parametrize("name", [n for n in configs.names() if n != "finetune"])
def test_every_preset_comes_back_from_json(name):
    config = configs.load(name)
    assert isinstance(config, ExperimentConfig)
    assert there_and_back(config) == config


def test_a_field_that_is_not_there_has_its_default():
    """A file of an older version reads as long as what is new has a default."""
    assert from_json(Config, {"type": "Config", "name": "a"}, where="f") == Config(name="a")


def test_whole_numbers_are_taken_for_fractions():
    assert type(from_json(Config, to_json(Config(name="a")) | {"rate": 1}, where="f").rate) is float


NMS = {"type": "Hard", "iou_threshold": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": "b"}, r"unknown field 'nmae'\. Did you mean 'name'\?"),
        ({"zzz": 1}, r"unknown field 'zzz'\. Known: crop, depth, "),
        ({"type": "Confg"}, r"expected a Config, found \{'type': 'Confg'"),
        ({"name": 3}, "name: expected str, found 3"),
        ({"crop": 1}, "crop: expected bool, found 1"),
        ({"limit": True}, r"limit: .*True"),
        ({"limit": "3"}, "limit: .*'3'"),
        ({"rate": "0.1"}, "rate: expected float, found '0.1'"),
        ({"rate": False}, "rate: expected float, found False"),
        ({"rate": float("nan")}, "rate: expected float, found nan"),
        ({"rate": None}, "rate: expected float, found None"),
        ({"root": 3}, "root: 3 is none of"),
        ({"depth": 34}, "depth: 34 is none of 18, 50"),
        ({"mode": "men"}, "mode: 'men' is none of 'mean', 'max'"),
        ({"sides": 480}, "sides: expected a list, found 480"),
        ({"sides": [480, 1.5]}, r"sides\[1\]: expected int, found 1.5"),
        ({"size": [1]}, "size: expected 2 values, found 1"),
        ({"nms": NMS | {"type": "Sft"}}, r"nms: unknown type 'Sft'\. Did you mean 'Soft'\?"),
        ({"nms": {"iou_threshold": 0.5}}, "nms: unknown type 'None'"),
        ({"nms": {"type": "Soft"}}, "nms: field 'sigma' is missing"),
        ({"nms": NMS | {"iou_treshold": 1}}, "nms: unknown field .* Did you mean 'iou_threshold'"),
        ({"nms": None}, "nms: None is none of"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_nearest_name(change, message):
    value = to_json(Config(name="a")) | change
    with pytest.raises(InputError, match=f"^runs/config.json: {message}"):
        from_json(Config, value, where="runs/config.json")


def test_an_abstract_class_stands_for_what_is_derived_from_it():
    for nms in (Hard(iou_threshold=0.7), Own(sigma=3.0)):
        assert there_and_back(OpenConfig(nms=nms)) == OpenConfig(nms=nms)


@pytest.mark.parametrize("tag", ["Other", "Open", "Soft"])
def test_what_no_program_has_imported_is_said_so(tag):
    value = {"type": "OpenConfig", "nms": {"type": tag}}
    mend = r"One that is not of this package has to be imported first\.$"
    with pytest.raises(InputError, match=rf"f: nms: unknown type '{tag}'\..* {mend}"):
        from_json(OpenConfig, value, where="f")


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match="f: field 'name' is missing"):
        from_json(Config, {"type": "Config"}, where="f")


@pytest.mark.parametrize("value", [None, 3, [], "Config"])
def test_what_is_no_config_at_all(value):
    with pytest.raises(InputError, match="f: expected a Config"):
        from_json(Config, value, where="f")


def test_differences_give_the_path_and_both_values():
    config = Config(name="a")
    other = dataclasses.replace(config, sides=(1,), nms=Hard(iou_threshold=0.7), limit=3)
    assert differences(to_json(config), to_json(config)) == []
    assert differences(to_json(config), to_json(other)) == [
        ("sides", [480, 512], [1]),
        ("nms.iou_threshold", 0.5, 0.7),
        ("limit", None, 3),
    ]
    other = dataclasses.replace(config, nms=Soft(sigma=0.5))
    assert differences(to_json(config), to_json(other)) == [("nms.type", "Hard", "Soft")]
