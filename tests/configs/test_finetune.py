"""The preset that looks at data and weights before it has values."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
import tyro

import configs
from configs.penn_fudan import penn_fudan
from configs.solov2_r50_fpn_1x import solov2_r50_fpn_1x
from maskrcnn_jax import cli
from maskrcnn_jax.convert.config import InitConfig
from maskrcnn_jax.convert.loading import load_weights
from maskrcnn_jax.convert.weights import OURS, from_variables, read_weights, write_weights
from maskrcnn_jax.data.records import Category
from maskrcnn_jax.errors import InputError
from maskrcnn_jax.experiment import ExperimentConfig, semantic_labels
from maskrcnn_jax.finetuning.start import start_from
from maskrcnn_jax.roi.semantic import SemanticHeadConfig
from maskrcnn_jax.roi.semantic_targets import SemanticMapsConfig
from maskrcnn_jax.serialization import from_json, to_json
from tests.convert.models import random_variables, small_model, state_dict
from tests.data.coco_files import content, write_json
from tests.solo.models import tiny_solov2
from tests.tiny import as_htc

CLASSES = [Category(id=1, name="ship"), Category(id=5, name="buoy")]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    config: Annotated[ExperimentConfig, tyro.conf.arg(name="")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for split in ("train", "val"):
        write_json(folder, content(), split=split)
    np.savez(folder / "detector.npz", **state_dict("detectron2", small_model()))
    body = "backbone.body."
    tensors = state_dict("torchvision", small_model())
    backbone = {n.removeprefix(body): x for n, x in tensors.items() if n.startswith(body)}
    np.savez(folder / "backbone.npz", **backbone)
    return folder


def fit(folder, *options, weights="detector.npz"):
    given = ("--data.root", str(folder), "--init.checkpoint", str(folder / weights))
    return configs.fit("finetune", [*given, *options])


def test_the_config_is_whole_and_says_where_all_is_from(folder):
    fitted = fit(folder)
    config = fitted.config
    assert from_json(ExperimentConfig, json.loads(json.dumps(to_json(config))), where="") == config
    assert config.model.num_classes == 2
    assert config.init.new_classes
    assert config.data.root == folder
    assert (config.data.train_split, config.data.eval_split) == ("train", "val")
    lines = fitted.explain(config)
    assert str(folder / "annotations/instances_train.json") in lines[0]
    assert str(folder / "detector.npz") in lines[0]


def test_the_same_command_chooses_the_same(folder):
    assert fit(folder) == fit(folder)


def test_every_reason_is_of_an_option(folder):
    """An option as it is printed can be given, and then changes nothing."""
    fitted = fit(folder)
    lines = [line.strip().split("  ")[0] for line in fitted.explain(fitted.config)]
    printed = [word for line in lines if line.startswith("--") for word in line.split()]
    assert len(printed) > 30
    arguments = cli.parse(
        Arguments, printed, prog="", description="", default=Arguments(config=fitted.config)
    )
    assert arguments.config == fitted.config


def test_other_options_follow_from_those_that_are_given(folder):
    options = "--input.batch-size 4 --input.short-sides 300 320 --optimizer.schedule.epochs 8"
    fitted = fit(folder, *options.split(), "--run.seed", "3")
    config = fitted.config
    assert config.input.short_sides == (300, 320)
    assert config.input.padded_sizes == ((320, 480), (480, 320))
    assert config.input.batch_size == config.input.eval_batch_size == 4
    assert config.optimizer.schedule.decay_at == (6.0,)
    assert fitted.reasons["optimizer.learning_rate"] == "for batches of 16, so 0.005 for 4"
    as_given = [line for line in fitted.explain(config) if line.endswith("  as given")]
    assert [line.split()[0] for line in as_given] == [
        "--input.short-sides",
        "--input.batch-size",
        "--optimizer.schedule.epochs",
    ]


def test_the_rate_is_one_that_such_weights_are_known_to_learn_with(folder, small_run):
    def optimizer(weights):
        found = fit(folder, weights=weights).config.optimizer
        return dataclasses.replace(found, schedule=small_run.config.optimizer.schedule)

    def expected(config):
        return dataclasses.replace(config.optimizer, schedule=small_run.config.optimizer.schedule)

    assert optimizer("backbone.npz") == expected(penn_fudan())
    assert optimizer("detector.npz") == expected(configs.load("mask_rcnn_r50_fpn_1x"))
    np.savez(folder / "solo.npz", **state_dict("mmdetection", tiny_solov2()))
    assert optimizer("solo.npz") == expected(solov2_r50_fpn_1x())
    weights = from_variables(random_variables(small_run.config.model), small_run, where="")
    write_weights(weights, folder / "run.npz", naming=OURS)
    assert optimizer("run.npz") == expected(small_run.config)


@pytest.mark.parametrize(("more", "samples"), [(6, 128), (7, 512)])
def test_few_objects_get_few_samples(folder, tmp_path, more, samples):
    value = content()
    for id in range(100, 100 + more):  # beside the two there are
        value["annotations"].append({**value["annotations"][0], "id": id})
    write_json(tmp_path, value)
    found = fit(folder, "--data.root", str(tmp_path), weights="backbone.npz").config
    assert found.model.roi.sampling.num_samples == samples


def test_penn_fudan_gets_the_values_of_its_preset(shared):
    """At the same short side."""
    config = configs.fit(
        "finetune",
        [
            *("--data.root", str(shared / "data/penn_fudan"), "--input.short-sides", "256"),
            *("--init.checkpoint", str(shared / "weights/resnet50_imagenet_folded.npz")),
        ],
    ).config
    preset = penn_fudan()
    assert config.input == preset.input
    assert config.optimizer == preset.optimizer
    assert config.run == preset.run
    assert config.model == preset.model


def test_without_data_or_weights_it_is_said_what_to_give(folder):
    with pytest.raises(InputError, match=r"--data.root MYDATA"):
        configs.fit("finetune", ["--init.checkpoint", "a.npz"])
    with pytest.raises(InputError, match=r"--init.checkpoint FILE"):
        configs.fit("finetune", ["--data.root", str(folder)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--input.batch-size 0", "batch_size must be at least 1"),
        ("--input.short-sides -5", "short_sides must be one or more positive numbers"),
        ("--optimizer.schedule.epochs nan", "epochs must be above 0"),
        ("--data.eval-split vall", "Did you mean 'val'"),
        ("--init.checkpoint none.npz", "none.npz"),
    ],
)
def test_bad_options_are_input_errors(folder, options, message):
    with pytest.raises(InputError, match=message):
        fit(folder, *options.split())


def test_a_branch_for_semantic_maps_is_kept_where_there_are_maps(folder, tmp_path):
    model = as_htc(small_model())
    semantic = SemanticHeadConfig(target=SemanticMapsConfig(num_labels=9), num_convs=1)
    model = dataclasses.replace(model, roi=dataclasses.replace(model.roi, semantic=semantic))
    np.savez(folder / "htc.npz", **state_dict("mmdetection", model))
    start = start_from(InitConfig(checkpoint=folder / "htc.npz"), CLASSES)
    assert semantic_labels(start.model) == 9

    fitted = fit(folder, weights="htc.npz")  # there are no maps
    config = fitted.config
    assert (config.input.semantic_labels, semantic_labels(config.model)) == (None, None)
    assert config.init.allow_unused == ("roi_head.semantic_head*",)
    assert "without the branch for semantic maps" in fitted.heading[1]
    load_weights(  # raises where something does not fit
        random_variables(config.model),
        read_weights(folder / "htc.npz"),
        backbone_norm=config.model.backbone.norm,
        init=config.init,
    )

    for split in ("train", "val"):
        write_json(tmp_path, content(), split=split)
    (tmp_path / "stuffthingmaps" / "train").mkdir(parents=True)
    fitted = fit(folder, "--data.root", str(tmp_path), weights="htc.npz")
    assert fitted.config.input.semantic_labels == 9
    assert "input.semantic_labels" in fitted.reasons
    assert fitted.config.init.allow_unused == ()


def test_images_without_objects_count_where_they_are_kept(folder):
    """Of three images one has objects."""
    kept = fit(folder, "--input.keep-empty", "True").config
    assert kept.input.keep_empty
    assert kept.optimizer.schedule.epochs == 400.0
    assert fit(folder).config.optimizer.schedule.epochs == 1200.0


def test_help_is_there_before_the_data_and_the_weights(folder, capsys):
    for options in ([], ["--data.root", str(folder)]):
        with pytest.raises(SystemExit) as exit_:
            configs.fit("finetune", [*options, "--help"])
        assert not exit_.value.code
        told = capsys.readouterr().out
        assert "checkpoint=None" in told
        assert "--workdir" in told


def test_other_presets_have_nothing_to_tell():
    fitted = configs.fit("shapes", ["--data.root", "nowhere"])
    assert fitted.config == configs.load("shapes")
    assert fitted.explain(fitted.config) == []
