import dataclasses
import inspect
import typing

import pytest

from maskrcnn_jax.data.datasets import DatasetConfig
from maskrcnn_jax.data.records import Dataset

CONFIGS = typing.get_args(DatasetConfig)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_data_set_keeps_the_contract(config):
    names = {field.name for field in dataclasses.fields(config)} | set(vars(config))
    assert {"train_split", "eval_split", "cache_dir"} <= names
    assert list(inspect.signature(config.build).parameters) == ["self", "split"]
    assert inspect.signature(config.build).return_annotation is Dataset
    assert all(field.kw_only for field in dataclasses.fields(config))
